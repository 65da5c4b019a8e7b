package app

import (
	"context"
	"errors"

	"github.com/postrider/postrider"
)

// Engines are what stands behind the seams.
type Engines struct {
	Events   postrider.EventLog
	Queue    postrider.Queue
	Payloads postrider.PayloadStore
	Outcomes postrider.OutcomeLog
	Database postrider.Database
}

// WithEngines opens the engines of a configuration for a tool that uses them while no server has the data folder, and closes
// them afterwards. No role runs.
func WithEngines(ctx context.Context, o Options, use func(*Engines) error) error {
	a := newApp(o)
	e := a.engines
	err := a.open(ctx)
	if err == nil {
		err = use(&Engines{Events: e.events, Queue: e.queue, Payloads: e.payloads, Outcomes: e.outcomes, Database: e.database})
	}
	return errors.Join(err, e.close())
}
