package api_test

import (
	"context"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
)

// heldLog is an events log whose commits the test completes.
type heldLog struct {
	postrider.EventLog
	appended chan func(error)
}

func (l *heldLog) Append(context.Context, []*postrider.Event) (*postrider.Commit, error) {
	commit, complete := postrider.NewCommit()
	l.appended <- complete
	return commit, nil
}

// No 202 leaves before the event is durable, and none at all if it does not become so.
func TestAcceptedMeansDurable(t *testing.T) {
	t.Parallel()
	log := &heldLog{appended: make(chan func(error))}
	s := newServer(t, func(o *api.Options) {
		log.EventLog = o.Events
		o.Events = log
	})
	for _, tt := range []struct {
		path, body string
		fault      error
		want       int
	}{
		{"/webhooks/events?type=a", "x", nil, 202},
		{"/webhooks/events/batch", `[{"eventType": "a", "payload": "x"}]`, nil, 202},
		{"/webhooks/events?type=a", "x", postrider.Errorf(postrider.CodeUnavailable, "the disk is full"), 503},
		{"/webhooks/events/batch", `[{"eventType": "a", "payload": "x"}]`, postrider.Errorf(postrider.CodeUnavailable, "the disk is full"), 503},
	} {
		answers := make(chan answer, 1)
		go func() { answers <- s.do(t, adminKey, "POST", tt.path, tt.body) }()
		complete := <-log.appended
		select {
		case a := <-answers:
			t.Fatalf("%s: %d before the commit", tt.path, a.status)
		default:
		}
		complete(tt.fault)
		a := <-answers
		if a.status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.path, a.status, a.body, tt.want)
		}
		if a.status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tt.path)
		}
	}
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}
