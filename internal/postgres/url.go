package postgres

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider/postrider"
)

// Defaults of a URL's parameters.
const (
	defaultSchema  = "postrider"
	defaultConns   = 10
	connectTimeout = 5 * time.Second
	pingTimeout    = 2 * time.Second // of a connection that has been idle
	connIdle       = 5 * time.Minute
)

// sessions are the settings of every connection, unless the URL has others. The server's own bounds stand behind ours: they
// free what a process has locked that vanished without closing its connections.
var sessions = map[string]string{
	"search_path":                         defaultSchema,
	"statement_timeout":                   "60s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "30s",
	"timezone":                            "UTC",
	"plan_cache_mode":                     "force_custom_plan", // a plan that knows the days leaves the others out
	"jit":                                 "off",               // it costs more than these queries do
	// Every query but a full load is by an index. The planner might read whole days of which it has no statistics yet.
	"enable_seqscan":                   "off",
	"enable_bitmapscan":                "off",
	"enable_hashjoin":                  "off",
	"enable_mergejoin":                 "off",
	"client_connection_check_interval": "10s",
}

// CheckURL tells what is wrong with a URL, every fault of it, without opening anything. The error is CodeInvalid.
func CheckURL(raw string) error {
	_, err := parseURL(raw, "")
	return err
}

// parseURL reads a URL as pgx does: of one host or several, with sslmode, sslrootcert, target_session_attrs and so on; the
// password from it, from PGPASSWORD or from the passfile. Faults are CodeInvalid and hold no password.
func parseURL(raw, instance string) (*pgxpool.Config, error) {
	if !strings.HasPrefix(raw, "postgres://") && !strings.HasPrefix(raw, "postgresql://") {
		return nil, postrider.Invalid("database", "must begin with postgres:// or postgresql://")
	}
	c, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return nil, postrider.Invalid("database", "is no URL of a PostgreSQL database: %s; write postgres://USER@HOST:5432/NAME?sslmode=verify-full", cause(err))
	}
	c.ConnConfig.ConnectTimeout = orElse(c.ConnConfig.ConnectTimeout, raw, "connect_timeout", connectTimeout)
	if !has(raw, "pool_max_conns") {
		c.MaxConns = defaultConns
	}
	if !has(raw, "pool_max_conn_idle_time") {
		c.MaxConnIdleTime = connIdle
	}
	c.PingTimeout = pingTimeout
	params := c.ConnConfig.RuntimeParams
	for name, value := range sessions {
		if _, given := params[name]; !given {
			params[name] = value
		}
	}
	if _, given := params["application_name"]; !given {
		params["application_name"] = strings.TrimSuffix("postrider "+instance, " ")
	}
	return c, nil
}

// cause is what is wrong with a URL, without the URL.
func cause(err error) string {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	} else if inner := errors.Unwrap(err); inner != nil {
		err = inner
	} else {
		return "a parameter is wrong"
	}
	var number *strconv.NumError
	if errors.As(err, &number) {
		return strconv.Quote(number.Num) + " is no number"
	}
	return err.Error()
}

func has(raw, parameter string) bool {
	return strings.Contains(raw, "?"+parameter+"=") || strings.Contains(raw, "&"+parameter+"=")
}

func orElse(given time.Duration, raw, parameter string, other time.Duration) time.Duration {
	if has(raw, parameter) {
		return given
	}
	return other
}
