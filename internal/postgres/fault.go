package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider/postrider"
)

// How long a call may take in all, waiting for a connection included.
const (
	callTime    = 15 * time.Second
	archiveTime = 60 * time.Second
)

// errSlow ends a call that took too long.
var errSlow = errors.New("the database did not answer in time")

// bounded limits a call. The function frees what it holds.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, errSlow)
}

// fault makes an error of what a call met: ctx's own end as it is, a database that is away or busy as CodeUnavailable, a fault
// in a statement or of the schema as an internal error.
func fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	var e *postrider.Error
	if errors.As(err, &e) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow) {
		return context.Cause(ctx)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !passing(pg.Code) {
		return fmt.Errorf("postgres: %s: %w", doing, err)
	}
	return &postrider.Error{Code: postrider.CodeUnavailable, Message: "the database is away", RetryAfter: time.Second,
		Err: fmt.Errorf("postgres: %s: %w", doing, err)}
}

// passing reports whether an SQLSTATE is one that a later try may not meet.
func passing(code string) bool {
	switch code {
	case "57014", // query_canceled: statement_timeout
		"55P03",          // lock_not_available
		"25006",          // read_only_sql_transaction: a standby
		"25P03",          // idle_in_transaction_session_timeout
		"0A000",          // a cached plan that a migration made stale
		"40001", "40P01": // serialization_failure, deadlock_detected
		return true
	}
	for _, class := range []string{
		"08", // connection
		"53", // resources: too many connections, disk full
		"57", // operator: shutdown, starting up
		"58", // system
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// stateOf is the SQLSTATE of an error, or "".
func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
