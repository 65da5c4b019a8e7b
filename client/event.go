package client

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event is what is published.
type Event struct {
	Type        string
	ID          string // "": the server gives one
	ContentType string // "": application/json
	Payload     []byte
	Body        io.Reader // instead of Payload, for what is not in memory
}

// PublishedEvent is an event as the server shows it.
type PublishedEvent struct {
	ID         string     `json:"id"`
	EventType  string     `json:"eventType"`
	Tenant     string     `json:"tenant"`
	AcceptedAt time.Time  `json:"acceptedAt"`
	Size       int64      `json:"size"`
	Position   string     `json:"position"`
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next"`
}

// BatchEvent is an event of a batch.
type BatchEvent struct {
	EventType   string `json:"eventType"`
	Payload     any    `json:"payload,omitempty"`       // a string, or what becomes a JSON object or array
	Base64      []byte `json:"payloadBase64,omitempty"` // instead of Payload: any bytes
	ID          string `json:"id,omitempty"`
	ContentType string `json:"contentType,omitempty"`
}

// Delivery is an event for a target.
type Delivery struct {
	ID            string     `json:"id"`
	EventID       string     `json:"eventId"`
	EventType     string     `json:"eventType"`
	TargetID      int64      `json:"targetId"`
	State         string     `json:"state"`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	Reason        string     `json:"reason"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
}

// Attempt is one try of a delivery.
type Attempt struct {
	Number     int       `json:"number"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMs int64     `json:"durationMs"`
	Status     int       `json:"status"`
	Error      string    `json:"error"`
	Class      string    `json:"class"`
	Response   string    `json:"response"`
}

// DeliveryPage is a part of a list of deliveries.
type DeliveryPage struct {
	Page[Delivery]
	AsOf *time.Time `json:"asOf"` // up to when every outcome is in it
}

// DeliveryQuery selects deliveries; zero fields select all.
type DeliveryQuery struct {
	PageOptions
	State, EventID, EventType string
	TargetID                  int64
	Since, Until              time.Time
}

// Publish publishes one event and returns its id. When it returns without an error the event is durable.
func (c *Client) Publish(ctx context.Context, e Event) (string, error) {
	header := http.Header{"Postrider-Event-Type": {e.Type}}
	if e.ID != "" {
		header.Set("Postrider-Event-Id", e.ID)
	}
	if e.ContentType != "" {
		header.Set("Content-Type", e.ContentType)
	}
	body := e.Body
	if body == nil {
		body = bytes.NewReader(e.Payload)
	}
	var out struct {
		ID string `json:"id"`
	}
	err := c.send(ctx, http.MethodPost, "/webhooks/events", header, body, &out)
	return out.ID, err
}

// PublishBatch publishes up to 1,000 events and returns their ids.
func (c *Client) PublishBatch(ctx context.Context, events []BatchEvent) ([]string, error) {
	out, err := post[Page[struct {
		ID string `json:"id"`
	}]](ctx, c, "/webhooks/events/batch", events)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(out.Items))
	for i := range out.Items {
		ids[i] = out.Items[i].ID
	}
	return ids, nil
}

// Event returns a published event with its newest deliveries.
func (c *Client) Event(ctx context.Context, id string) (*PublishedEvent, error) {
	return get[PublishedEvent](ctx, c, "/webhooks/events/"+url.PathEscape(id))
}

// Deliveries lists deliveries, newest first.
func (c *Client) Deliveries(ctx context.Context, q DeliveryQuery) (*DeliveryPage, error) {
	v := q.values()
	for name, value := range map[string]string{"state": q.State, "eventId": q.EventID, "eventType": q.EventType} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.TargetID != 0 {
		v.Set("targetId", strconv.FormatInt(q.TargetID, 10))
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return get[DeliveryPage](ctx, c, query("/webhooks/deliveries", v))
}

// AllDeliveries goes through every delivery of a query.
func (c *Client) AllDeliveries(ctx context.Context, q DeliveryQuery) iter.Seq2[Delivery, error] {
	return all(ctx, func(ctx context.Context, after string) (*Page[Delivery], error) {
		q.PageOptions = PageOptions{Limit: 200, After: after}
		p, err := c.Deliveries(ctx, q)
		if err != nil {
			return nil, err
		}
		return &p.Page, nil
	})
}

// Delivery returns a delivery.
func (c *Client) Delivery(ctx context.Context, id string) (*Delivery, error) {
	return get[Delivery](ctx, c, "/webhooks/deliveries/"+url.PathEscape(id))
}

// Attempts lists a delivery's attempts.
func (c *Client) Attempts(ctx context.Context, id string) ([]Attempt, error) {
	out, err := get[Page[Attempt]](ctx, c, "/webhooks/deliveries/"+url.PathEscape(id)+"/attempts")
	return out.Items, err
}

// Replay delivers once more what has ended.
func (c *Client) Replay(ctx context.Context, id string) (*Delivery, error) {
	return post[Delivery](ctx, c, "/webhooks/deliveries/"+url.PathEscape(id)+"/replay", nil)
}
