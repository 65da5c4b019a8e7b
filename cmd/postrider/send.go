package main

import (
	"fmt"
	"io"
	"os"

	"github.com/postrider/postrider/client"
)

type sendCommand struct {
	remote
	tenancy
	Type        string `arg:"" help:"Type of the event, such as core.orders.created.v1."`
	File        string `arg:"" optional:"" default:"-" help:"File with the payload; - or nothing reads standard input."`
	ID          string `help:"Id of the event; if not given, the server makes one." group:"Event"`
	ContentType string `help:"Content type of the payload; application/json if not given." placeholder:"TYPE" group:"Event"`
}

// Run publishes one event and prints its id.
func (s *sendCommand) Run(e *env) error {
	c, err := s.connect(s.Tenant)
	if err != nil {
		return err
	}
	payload, err := s.payload(e)
	if err != nil {
		return fmt.Errorf("reading the payload: %w", err)
	}
	id, err := c.Publish(e.ctx, client.Event{Type: s.Type, ID: s.ID, ContentType: s.ContentType, Payload: payload})
	if err != nil {
		return err
	}
	e.out.printf("%s", id)
	return nil
}

// payload reads the payload. A signal ends the wait for standard input.
func (s *sendCommand) payload(e *env) ([]byte, error) {
	if s.File != "-" {
		return os.ReadFile(s.File)
	}
	type result struct {
		payload []byte
		err     error
	}
	read := make(chan result, 1)
	go func() {
		payload, err := io.ReadAll(e.in)
		read <- result{payload, err}
	}()
	select {
	case r := <-read:
		return r.payload, r.err
	case <-e.ctx.Done():
		return nil, errInterrupted
	}
}
