package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// prepared are the statements that are read with for each delivery, prepared once a connection: to parse one takes longer than to run it.
// They have no parameter in LIMIT, since SQLite plans anew for each value of such a one. It is safe for concurrent use.
type prepared struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func newPrepared(db *sql.DB) *prepared { return &prepared{db: db, stmts: map[string]*sql.Stmt{}} }

// query runs a statement.
func (p *prepared) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // it is kept until close
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	s := p.stmts[query]
	p.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, query) // not under the lock: it may wait for a connection
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[query]; first != nil {
		defer s.Close() // nobody has it
		return first, nil
	}
	p.stmts[query] = s
	return s, nil
}

// close closes the statements; none may be used afterwards.
func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.stmts {
		_ = s.Close() // what was read was read
	}
	clear(p.stmts)
}
