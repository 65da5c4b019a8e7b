package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// TypeTargetDisabled is the event that tells that a target was turned off.
const TypeTargetDisabled = postrider.OwnTypePrefix + "target.disabled"

// Reasons why a target turned itself off.
const (
	reasonGone     = "gone"
	reasonDisabled = "disabled_by_receiver"
	turnOffTries   = 4
)

// turnOff turns off a target that asked for it. It reports false if the database did not answer: the delivery is then tried
// again, and its receiver asks again.
func (d *Dispatcher) turnOff(j *job, status int) bool {
	reason := reasonDisabled
	if status == http.StatusGone {
		reason = reasonGone
	}
	tenant, id := j.lease.Pack.Tenant, j.delivery.TargetID
	notice := d.notice(tenant, id, reason)
	if strings.HasPrefix(j.delivery.Event.Type, postrider.OwnTypePrefix) {
		notice = nil // a delivery of our own event causes none
	}
	var pause steady.Backoff
	var err error
	for range turnOffTries {
		var done bool
		ctx, cancel := context.WithTimeout(j.life.rest, fetchTimeout)
		done, err = d.Database.TurnOff(ctx, tenant, id, reason, notice)
		cancel()
		if err == nil {
			if done {
				d.Logger.Info("a target turned itself off", "target_id", id, "tenant", tenant, "reason", reason)
				d.Announce()
			}
			return true
		}
		d.metrics.failures.WithLabelValues("turn_off").Inc()
		if !steady.Sleep(j.life.rest, pause.Next()) {
			break
		}
	}
	d.Logger.Warn("a target that asked for it was not turned off", "target_id", id, "tenant", tenant, "error", err)
	return false
}

// disabled is the payload of TypeTargetDisabled.
type disabled struct {
	TargetID int64     `json:"targetId"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

func (d *Dispatcher) notice(tenant string, target int64, reason string) *postrider.Event {
	now := d.Clock().UTC().Truncate(time.Millisecond)
	payload, err := json.Marshal(disabled{target, reason, now})
	if err != nil {
		panic("dispatch: " + err.Error()) // numbers and strings always marshal
	}
	id := make([]byte, 18)
	_, _ = rand.Read(id) // never fails: the program ends if the system has no randomness
	return &postrider.Event{ID: "evt_" + base64.RawURLEncoding.EncodeToString(id), Tenant: tenant, Type: TypeTargetDisabled,
		ContentType: postrider.DefaultContentType, AcceptedAt: now, Payload: postrider.Payload{Size: int64(len(payload)), Bytes: payload}}
}
