package postgres

import (
	"context"
	"sync"
)

// days knows which days have partitions.
type days struct {
	mu   sync.Mutex
	have span // contiguous
}

func (d *days) span() span {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.have
}

func (d *Database) openDays(context.Context) error { return nil }

func (d *Database) keepDays(ctx context.Context) { <-ctx.Done() }
