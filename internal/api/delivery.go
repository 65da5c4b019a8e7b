package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/postrider/postrider"
)

// deliveryView is a delivery as it is shown.
type deliveryView struct {
	ID            string `json:"id"`
	EventID       string `json:"eventId"`
	EventType     string `json:"eventType"`
	TargetID      int64  `json:"targetId"`
	State         string `json:"state" enum:"pending,retrying,deferred,delivered,exhausted,cancelled"`
	Attempts      int    `json:"attempts" doc:"made so far"`
	NextAttemptAt string `json:"nextAttemptAt,omitempty"`
	Reason        string `json:"reason,omitempty" enum:"window,held,internal,payload_lost,target_off,target_deleted,unsubscribed,aborted"`
	CreatedAt     string `json:"createdAt" doc:"the event's acceptance"`
	UpdatedAt     string `json:"updatedAt"`
}

// deliveryList is a page of deliveries.
type deliveryList struct {
	Items []deliveryView `json:"items"`
	Next  string         `json:"next,omitempty"`
	AsOf  string         `json:"asOf,omitempty" doc:"the time up to which every outcome is in this list"`
}

// attemptView is an attempt as it is shown.
type attemptView struct {
	Number     int    `json:"number"`
	StartedAt  string `json:"startedAt"`
	DurationMs int64  `json:"durationMs"`
	Status     int    `json:"status,omitempty" doc:"of the answer"`
	Error      string `json:"error,omitempty" doc:"why no answer came"`
	Class      string `json:"class" enum:"ok,status,redirect,timeout,dns,connect,tls,reset,protocol,forbidden,interrupted,internal"`
	Response   string `json:"response,omitempty" doc:"the beginning of the answer's body, at most 1 KiB; bytes that are not UTF-8 are replaced"`
}

func viewDelivery(r *postrider.DeliveryRecord) deliveryView {
	v := deliveryView{ID: r.ID.String(), EventID: r.Event.ID, EventType: r.Event.Type, TargetID: r.TargetID, State: string(r.State), Attempts: r.Attempts,
		Reason: string(r.Reason), CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt)}
	if !r.NextAt.IsZero() && !r.State.Final() {
		v.NextAttemptAt = stamp(r.NextAt)
	}
	return v
}

var deliveryParameters = append([]parameter{
	{"state", "pending, retrying, deferred, delivered, exhausted or cancelled", "string"},
	{"targetId", "of this target", "integer"},
	{"eventId", "of events with this id", "string"},
	{"eventType", "of events of this type", "string"},
	{"since", "createdAt at or after this time (RFC 3339)", "string"},
	{"until", "createdAt before this time (RFC 3339)", "string"},
}, pageParameters...)

// deliveryQuery reads the parameters of a list of deliveries.
func (c *call) deliveryQuery() (postrider.DeliveryQuery, error) {
	var faults postrider.Faults
	c.known(&faults)
	q := postrider.DeliveryQuery{Page: c.page(&faults)}
	values := c.r.URL.Query()
	if s := values.Get("state"); s != "" {
		state, err := postrider.ParseState(s)
		faults.Add("state", err)
		q.State = state
	}
	if s := values.Get("targetId"); s != "" {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil || id < 1 || id > postrider.MaxEntityID {
			faults.Addf("targetId", "must be an id: a whole number from 1 to %d", int64(postrider.MaxEntityID))
		}
		q.TargetID = id
	}
	if q.EventID = values.Get("eventId"); q.EventID != "" && postrider.CheckEventID(q.EventID) != nil {
		faults.Addf("eventId", "is no event id")
	}
	if q.EventType = values.Get("eventType"); q.EventType != "" {
		faults.Add("eventType", postrider.CheckEventType(q.EventType))
	}
	q.Since = when(values.Get("since"), "since", &faults)
	q.Until = when(values.Get("until"), "until", &faults)
	return q, faults.Err()
}

func when(s, field string, faults *postrider.Faults) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		faults.Addf(field, "must be a time by RFC 3339, such as 2026-01-31T12:00:00Z")
		return t
	}
	if first := time.Unix(1, 0); t.Before(first) { // nothing is that old, and the zero time would be no bound
		return first
	}
	return t
}

func listDeliveries(c *call) error {
	q, err := c.deliveryQuery()
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	asOf, err := c.api.Database.AsOf(ctx) // before the list: it must not promise more than that holds
	if err != nil {
		return err
	}
	records, next, err := c.api.Database.Deliveries(ctx, c.tenant, q)
	if err != nil {
		return err
	}
	out := deliveryList{Items: viewDeliveries(records), Next: next}
	if !asOf.IsZero() {
		out.AsOf = stamp(asOf)
	}
	return c.answer(http.StatusOK, out)
}

func viewDeliveries(records []postrider.DeliveryRecord) []deliveryView {
	views := make([]deliveryView, 0, len(records))
	for i := range records {
		views = append(views, viewDelivery(&records[i]))
	}
	return views
}

// delivery finds the delivery that the path names.
func (c *call) delivery() (*postrider.DeliveryRecord, error) {
	id, err := postrider.ParseDeliveryID(c.params["id"])
	if err != nil {
		return nil, err
	}
	return c.api.Database.Delivery(c.r.Context(), c.tenant, id)
}

func getDelivery(c *call) error {
	r, err := c.delivery()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewDelivery(r))
}

func listAttempts(c *call) error {
	r, err := c.delivery()
	if err != nil {
		return err
	}
	attempts, err := c.api.Database.Attempts(c.r.Context(), c.tenant, r.ID)
	if err != nil {
		return err
	}
	out := list[attemptView]{Items: make([]attemptView, 0, len(attempts))}
	for i := range attempts {
		a := &attempts[i]
		out.Items = append(out.Items, attemptView{Number: a.Number, StartedAt: stamp(a.StartedAt), DurationMs: a.Duration.Milliseconds(), Status: a.Status,
			Error: a.Error, Class: string(a.Class), Response: string(a.Head)})
	}
	return c.answer(http.StatusOK, out)
}
