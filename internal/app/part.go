package app

import (
	"context"
	"errors"
	"fmt"
)

// part is a role, or something that roles share, that runs until it is stopped.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// start runs a part in its own goroutine. When it ends by itself, it is told to failed.
func start(ctx context.Context, name string, failed chan<- *part, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(ctx)
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer cancel()
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err != nil {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
		stopped := ctx.Err() != nil
		close(p.done)
		if !stopped {
			failed <- p
		}
	}()
	return p
}

// stop ends parts together and waits for them until ctx ends. It returns what went wrong with each.
func stop(ctx context.Context, parts ...*part) []error {
	for _, p := range parts {
		p.cancel()
	}
	var errs []error
	for _, p := range parts {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
		select {
		case <-p.done:
			if p.err != nil {
				errs = append(errs, p.err)
			}
		default:
			errs = append(errs, fmt.Errorf("%s: did not end in time", p.name))
		}
	}
	return errs
}
