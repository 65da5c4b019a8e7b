package postgres

import (
	"context"

	"github.com/postrider/postrider"
)

var _ postrider.Checker = (*Database)(nil)

// Check asks whether the server answers and takes writes; see postrider.Checker.
func (d *Database) Check(ctx context.Context) error {
	var standby bool
	if err := d.pool.QueryRow(ctx, "SELECT pg_is_in_recovery() FROM feed").Scan(&standby); err != nil {
		return &postrider.Error{Code: postrider.CodeUnavailable, Message: "the PostgreSQL database does not answer", Err: err}
	}
	if standby {
		return postrider.Errorf(postrider.CodeUnavailable, "the PostgreSQL database is a standby, which takes no writes")
	}
	return nil
}
