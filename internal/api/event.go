package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postrider/postrider"
)

const (
	bodyTime = 30 * time.Second // for a body, and
	bodyRate = 64 << 10         // bytes in each second more
	appendIn = 30 * time.Second // for the log to take events
)

// eventID is an event's id, as the answer to its publication.
type eventID struct {
	ID string `json:"id"`
}

// eventView is an event as it is shown.
type eventView struct {
	ID         string         `json:"id"`
	EventType  string         `json:"eventType"`
	Tenant     string         `json:"tenant"`
	AcceptedAt string         `json:"acceptedAt"`
	Size       int64          `json:"size" doc:"of the payload, in bytes"`
	Position   string         `json:"position" doc:"in the events log; opaque"`
	Deliveries []deliveryView `json:"deliveries" doc:"the newest, at most 200"`
	Next       string         `json:"next,omitempty" doc:"the ?after= of the next deliveries, here or in GET /webhooks/deliveries?eventId="`
}

func newEventID() string { return "evt_" + uuid.Must(uuid.NewV7()).String() }

// publish takes one event: the body is the payload.
func publish(c *call) error {
	event, err := c.eventHead()
	if err != nil {
		return err
	}
	body, share, err := c.readPayload(c.api.maxPayload())
	if err != nil {
		return err
	}
	event.Payload = postrider.Payload{Size: int64(len(body)), Bytes: body}
	if err := c.traced([]*postrider.Event{event}, share.release); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, eventID{event.ID})
}

// eventHead reads what stands in the request's head.
func (c *call) eventHead() (*postrider.Event, error) {
	var faults postrider.Faults
	c.known(&faults)
	h := c.r.Header
	e := &postrider.Event{Tenant: c.tenant, ID: h.Get(idHeader), Type: h.Get(typeHeader), ContentType: h.Get("Content-Type")}
	for _, name := range []string{typeHeader, idHeader, "Content-Type"} {
		if slices.ContainsFunc(h.Values(name), func(v string) bool { return v != h.Get(name) }) {
			faults.Addf(name, "is there several times and differs")
		}
	}
	from := "the header " + typeHeader
	switch asked := c.r.URL.Query().Get("type"); {
	case e.Type == "" && asked == "":
		faults.Addf(typeHeader, "is missing: give the event's type there or in ?type=")
	case e.Type != "" && asked != "" && e.Type != asked:
		faults.Addf("type", "differs from the header Postrider-Event-Type")
	case e.Type == "":
		e.Type, from = asked, "?type="
	}
	if e.Type != "" {
		addFrom(&faults, "eventType", from, postrider.CheckPublishedType(e.Type))
	}
	if _, given := h[idHeader]; given {
		addFrom(&faults, "id", "the header "+idHeader, postrider.CheckEventID(e.ID))
	} else {
		e.ID = newEventID()
	}
	addFrom(&faults, "contentType", "the header Content-Type", postrider.CheckContentType(e.ContentType))
	return e, faults.Err()
}

// Headers of an event.
const (
	typeHeader = "Postrider-Event-Type"
	idHeader   = "Postrider-Event-Id"
)

// addFrom adds what is wrong with a field, and where the client wrote it.
func addFrom(faults *postrider.Faults, field, from string, err error) {
	if err != nil {
		faults.Addf(field, "%s (from %s)", firstMessage(err), from)
	}
}

// traced appends events that carry the trace of the request; see append.
func (c *call) traced(events []*postrider.Event, release func()) error {
	carried := postrider.TraceContext(c.r.Header.Get("Traceparent"), strings.Join(c.r.Header.Values("Tracestate"), ","))
	span := c.api.Tracer.Intake(carried, c.tenant, len(events))
	defer span.End()
	carried = span.Trace(carried)
	for _, e := range events {
		e.Trace = carried
	}
	err := c.append(events, release)
	if err != nil {
		span.Failed(string(postrider.CodeOf(err)))
	}
	return err
}

// append puts events into the log and waits until they are durable. It calls release once the log has done with their bytes, which
// may be after it gave up.
func (c *call) append(events []*postrider.Event, release func()) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), appendIn)
	defer cancel()
	commit, err := c.api.Events.Append(ctx, events)
	if err != nil {
		release()
	} else {
		err = commit.Wait(ctx)
		c.api.late.release(commit, release)
	}
	if err != nil {
		c.api.metrics.refused.WithLabelValues("log").Inc()
		if ctx.Err() != nil && c.r.Context().Err() == nil {
			return &postrider.Error{Code: postrider.CodeUnavailable, Message: "the events log did not answer in time", RetryAfter: time.Second, Err: err}
		}
		return err
	}
	c.api.metrics.accepted.Add(float64(len(events)))
	for _, e := range events {
		c.api.metrics.bytes.Add(float64(e.Payload.Size))
	}
	return nil
}

// getEvent shows an event and its newest deliveries. Before its fan-out is recorded, it is found in the log, if that can.
func getEvent(c *call) error {
	ctx, id := c.r.Context(), c.params["id"]
	var faults postrider.Faults
	c.known(&faults)
	if err := faults.Err(); err != nil {
		return err
	}
	if postrider.CheckEventID(id) != nil {
		return postrider.Errorf(postrider.CodeNotFound, "there is no such event")
	}
	var head postrider.EventHead
	record, err := c.api.Database.EventRecord(ctx, c.tenant, id)
	if err == nil {
		head = record.EventHead
	}
	if finder, ok := c.api.Events.(postrider.EventFinder); ok && (err == nil || postrider.CodeOf(err) == postrider.CodeNotFound) {
		newest, found := finder.Find(ctx, c.tenant, id)
		if found == nil && (err != nil || newest.AcceptedAt.After(head.AcceptedAt)) {
			head, err = newest.Head(), nil
		}
	}
	if err != nil {
		return err
	}
	v := eventView{ID: head.ID, EventType: head.Type, Tenant: c.tenant, AcceptedAt: stamp(head.AcceptedAt), Size: head.Size, Position: string(head.Position)}
	records, next, err := c.api.Database.Deliveries(ctx, c.tenant, postrider.DeliveryQuery{EventID: id,
		Page: postrider.Page{Limit: postrider.MaxPageLimit, After: c.r.URL.Query().Get("after")}})
	if err != nil {
		return err
	}
	v.Deliveries, v.Next = viewDeliveries(records), next
	return c.answer(http.StatusOK, v)
}

// store puts an event's payload into the payload store and refers to it.
func (c *call) store(ctx context.Context, e *postrider.Event) error {
	key := postrider.PayloadKey(e)
	if err := c.api.Payloads.Put(ctx, key, e.Payload.Bytes); err != nil {
		return err
	}
	e.Payload = postrider.Payload{Size: e.Payload.Size, Key: key}
	return nil
}
