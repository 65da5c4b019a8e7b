package postrider

import "context"

// Commit is the token of a write that becomes durable later. One Commit may stand for many writes: an engine that
// commits in groups gives every write of a group the same one, so that several seams share one fsync.
//
// A Commit is safe for concurrent use.
type Commit struct {
	done chan struct{}
	err  error
}

// NewCommit returns an open Commit and the function that completes it. The function is called once: with nil when the
// write is durable, else with the reason why it is not and will not be.
func NewCommit() (*Commit, func(error)) {
	c := &Commit{done: make(chan struct{})}
	return c, func(err error) {
		c.err = err
		close(c.done)
	}
}

var committed = func() *Commit { c, complete := NewCommit(); complete(nil); return c }()

// Committed returns a Commit that is durable already.
func Committed() *Commit { return committed }

// Done is closed when the outcome of the write is known.
func (c *Commit) Done() <-chan struct{} { return c.done }

// Err is the outcome; it may be called only after Done is closed.
func (c *Commit) Err() error { return c.err }

// Wait blocks until the write is durable (nil), has failed (its error), or ctx ends (its error; the write goes on).
func (c *Commit) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
