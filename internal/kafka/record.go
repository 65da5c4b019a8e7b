package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// Headers of a record.
const (
	headerTenant      = "postrider-tenant"
	headerEventID     = "postrider-event-id"
	headerContentType = "content-type"
	headerTrace       = "traceparent"
	headerTraceState  = "tracestate"
	headerOwn         = "postrider-own" // the proof of Postrider's own events, whose types are refused to all others
)

// refusal says why a record can't be an event. The reason is one of few, for the metric; the text is for people.
type refusal struct {
	reason string
	text   string
}

func (r *refusal) Error() string { return r.reason + ": " + r.text }

// Reasons of dead letters.
const (
	deadAvro     = "avro"
	deadSchema   = "schema"
	deadTooLarge = "too_large"
	deadField    = "field"
	deadGap      = "gap" // no record: what tells that some are missing
)

// recordOf makes the record of an event.
func (l *EventLog) recordOf(e *postrider.Event) *kgo.Record {
	r := &kgo.Record{Topic: l.at.topic, Value: l.codec.encode(e.Type, e.Payload.Bytes)}
	if !e.AcceptedAt.IsZero() {
		r.Timestamp = e.AcceptedAt
	} else {
		r.Timestamp = l.clock()
	}
	r.Timestamp = millis(r.Timestamp)
	add := func(key, value string) {
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
	}
	add(headerTenant, e.Tenant)
	add(headerEventID, e.ID)
	add(headerContentType, e.ContentType)
	parent, state := postrider.SplitTrace(e.Trace)
	add(headerTrace, parent)
	add(headerTraceState, state)
	if len(l.own.key) > 0 && strings.HasPrefix(e.Type, postrider.OwnTypePrefix) {
		add(headerOwn, l.own.proof(e.Type, e.Tenant, e.ID, e.ContentType, e.Payload.Bytes))
	}
	return r
}

// eventOf reads a record. The error is a *refusal, or errRegistry if it is to be tried again.
func (l *EventLog) eventOf(ctx context.Context, r *kgo.Record) (*postrider.Event, error) {
	if int64(len(r.Value)) > l.maxPayload+recordSlack {
		return nil, &refusal{deadTooLarge, fmt.Sprintf("%d bytes, over the limit of %d", len(r.Value), l.maxPayload)}
	}
	schema, body, err := l.schemaOf(ctx, r.Value)
	if err != nil {
		return nil, err
	}
	m, err := decode(schema, body)
	if err != nil {
		return nil, &refusal{deadAvro, err.Error()}
	}
	if int64(len(m.Payload)) > l.maxPayload {
		return nil, &refusal{deadTooLarge, fmt.Sprintf("a payload of %d bytes, over the limit of %d", len(m.Payload), l.maxPayload)}
	}
	e := &postrider.Event{Type: m.EventType, Tenant: postrider.DefaultTenant, AcceptedAt: millis(r.Timestamp), Position: placeOf(r).position(),
		Payload: postrider.Payload{Size: int64(len(m.Payload)), Bytes: m.Payload}}
	proof := readHeaders(e, r.Headers)
	proven := l.own.proves(proof, e.Type, e.Tenant, e.ID, e.ContentType, m.Payload)
	if e.ID == "" {
		e.ID = postrider.DerivedEventID(r.Topic, r.Partition, r.Offset, e.AcceptedAt)
	}
	if err := check(e, proven); err != nil {
		return nil, &refusal{deadField, err.Error()}
	}
	return e, nil
}

// recordSlack is what a value may have beyond its payload: type, frame, and the fields of evolved schemas.
const recordSlack = 64 << 10

func (l *EventLog) schemaOf(ctx context.Context, value []byte) (*avro.Schema, []byte, error) {
	id, body, framed, err := frame(value)
	switch {
	case err != nil:
		return nil, nil, &refusal{deadAvro, err.Error()}
	case !framed || l.codec.registry == nil:
		return l.codec.reader, body, nil
	}
	schema, err := l.codec.registry.schema(ctx, id)
	if err != nil && !errors.Is(err, errRegistry) {
		err = &refusal{deadSchema, err.Error()}
	}
	return schema, body, err
}

// readHeaders fills in what the headers say; of several alike the last counts, an empty one is none.
func readHeaders(e *postrider.Event, headers []kgo.RecordHeader) (proof string) {
	var parent, state string
	for _, h := range headers {
		if len(h.Value) == 0 {
			continue
		}
		switch h.Key {
		case headerTenant:
			e.Tenant = string(h.Value)
		case headerEventID:
			e.ID = string(h.Value)
		case headerContentType:
			e.ContentType = string(h.Value)
		case headerTrace:
			parent = string(h.Value)
		case headerTraceState:
			state = string(h.Value)
		case headerOwn:
			proof = string(h.Value)
		}
	}
	e.Trace = postrider.TraceContext(parent, state)
	return proof
}

// check refuses what REST would refuse, but for events that are proven to be Postrider's own.
func check(e *postrider.Event, proven bool) error {
	var faults postrider.Faults
	if proven {
		faults.Add("eventType", postrider.CheckEventType(e.Type))
	} else {
		faults.Add("eventType", postrider.CheckPublishedType(e.Type))
	}
	faults.Add("id", postrider.CheckEventID(e.ID))
	faults.Add("tenant", postrider.CheckTenant(e.Tenant))
	faults.Add("contentType", postrider.CheckContentType(e.ContentType))
	return faults.Err()
}
