package archive

import (
	"context"
	"errors"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// followLog reads the outcome log, if it is one that is read.
func (a *Archiver) followLog(ctx context.Context) error {
	reader, err := a.open(ctx)
	if reader == nil {
		return err
	}
	work, done := steady.Outlast(ctx, a.Drain)
	defer done()
	defer func() {
		if err := reader.Close(); err != nil {
			a.Logger.Warn("the outcome log was not left cleanly", "error", err)
		}
	}()
	var pause steady.Backoff
	for {
		round, err := a.gather(ctx, reader)
		a.keep(work, reader, round)
		if err == nil {
			pause.Reset()
			continue
		}
		if again, ended := keepOn(ctx, err); !again {
			return ended
		}
		pause.After(ctx, a.Logger, "read of the outcome log", err)
	}
}

// open joins the archivers; nil if there is nothing to read, or ctx ended.
func (a *Archiver) open(ctx context.Context) (postrider.OutcomeReader, error) {
	var pause steady.Backoff
	for {
		reader, err := a.Outcomes.Reader(ctx, a.Database.ArchivedTo)
		if err == nil {
			return reader, nil
		}
		if again, ended := keepOn(ctx, err); !again {
			return nil, ended
		}
		pause.After(ctx, a.Logger, "outcome log", err)
	}
}

// gather waits for outcomes, then collects what follows within the window, up to MaxBatch outcomes. What it has is returned
// with an error too.
func (a *Archiver) gather(ctx context.Context, reader postrider.OutcomeReader) ([]*postrider.OutcomeBatch, error) {
	first, err := reader.Next(ctx)
	if err != nil {
		return nil, err
	}
	round, count := []*postrider.OutcomeBatch{first}, len(first.Outcomes)
	window, cancel := context.WithTimeout(ctx, a.Window)
	defer cancel()
	for count < a.MaxBatch && window.Err() == nil {
		next, err := reader.Next(window)
		switch {
		case err == nil:
			round, count = append(round, next), count+len(next.Outcomes)
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return round, nil
		default:
			return round, err
		}
	}
	return round, ctx.Err()
}

// keep stores a round, partition by partition, and tells the log what is stored.
func (a *Archiver) keep(ctx context.Context, reader postrider.OutcomeReader, round []*postrider.OutcomeBatch) {
	var order []string
	parts := make(map[string][]*postrider.OutcomeBatch)
	for _, b := range round {
		if len(parts[b.Partition]) == 0 {
			order = append(order, b.Partition)
		}
		parts[b.Partition] = append(parts[b.Partition], b)
	}
	for _, partition := range order {
		if !a.store(ctx, merged(parts[partition])) {
			return // the drain is over: it is read again from the position that is stored
		}
		for _, b := range parts[partition] {
			reader.Archived(b)
		}
	}
}

// merged is one batch of consecutive batches of one partition.
func merged(batches []*postrider.OutcomeBatch) *postrider.OutcomeBatch {
	if len(batches) == 1 {
		return batches[0]
	}
	last := batches[len(batches)-1]
	all := &postrider.OutcomeBatch{Partition: last.Partition, End: last.End, Through: last.Through}
	for _, b := range batches {
		all.Outcomes = append(all.Outcomes, b.Outcomes...)
		if b.Through.After(all.Through) {
			all.Through = b.Through
		}
	}
	return all
}
