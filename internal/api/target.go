package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/seal"
	"github.com/postrider/postrider/internal/sign"
)

// hiddenValue stands for a header's value, which is never shown. Sent back it means: as it is.
const hiddenValue = "***"

const maxSecrets = 5 // that sign at once

// targetView is a target as it is shown.
type targetView struct {
	ID           int64             `json:"id"`
	URL          string            `json:"url" doc:"http or https, without userinfo and fragment, at most 2,048 characters"`
	Name         string            `json:"name,omitempty" doc:"at most 128 bytes"`
	Headers      map[string]string `json:"headers,omitempty" doc:"sent with each message; values are stored encrypted and shown as ***; *** sent back leaves the value as it is"`
	Retry        *retryView        `json:"retry,omitempty" doc:"what differs from the system's"`
	MaxInFlight  int               `json:"maxInFlight,omitempty" doc:"attempts at once; left out: the system's"`
	AllowPrivate bool              `json:"allowPrivate,omitempty" doc:"the address need not be public; by the admin key only"`
	State        string            `json:"state" enum:"on,off,unproven" doc:"read-only"`
	StateReason  string            `json:"stateReason,omitempty" doc:"read-only: why it is off"`
	CreatedAt    string            `json:"createdAt" doc:"read-only; RFC 3339, UTC"`
	UpdatedAt    string            `json:"updatedAt" doc:"read-only; RFC 3339, UTC"`
	Secret       string            `json:"secret,omitempty" doc:"in the answer that creates the target only"`
}

// retryView is a retry policy as it is shown.
type retryView struct {
	Base   string `json:"base,omitempty" doc:"a duration such as 10s"`
	Max    string `json:"max,omitempty"`
	Window string `json:"window,omitempty" doc:"at most 168h"`
}

// targetInput is what a target is made or changed by.
type targetInput struct {
	URL          string            `json:"url"`
	Name         string            `json:"name,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	Retry        *retryView        `json:"retry,omitempty"`
	MaxInFlight  int               `json:"maxInFlight,omitempty"`
	AllowPrivate bool              `json:"allowPrivate,omitempty"`
}

// secretView is a new secret.
type secretView struct {
	Secret string `json:"secret" doc:"shown once"`
}

func (a *API) viewTarget(t *postrider.Target) targetView {
	v := targetView{ID: t.ID, URL: t.URL, Name: t.Name, MaxInFlight: t.MaxInFlight, AllowPrivate: t.AllowPrivate, State: string(t.State),
		StateReason: t.StateReason, CreatedAt: stamp(t.CreatedAt), UpdatedAt: stamp(t.UpdatedAt)}
	if t.Retry != (postrider.RetryPolicy{}) {
		v.Retry = &retryView{}
		for _, d := range []struct {
			dest  *string
			value int64
			text  string
		}{{&v.Retry.Base, int64(t.Retry.Base), t.Retry.Base.String()}, {&v.Retry.Max, int64(t.Retry.Max), t.Retry.Max.String()}, {&v.Retry.Window, int64(t.Retry.Window), t.Retry.Window.String()}} {
			if d.value != 0 {
				*d.dest = d.text
			}
		}
	}
	if headers, err := a.openHeaders(t); err == nil && len(headers) > 0 {
		v.Headers = make(map[string]string, len(headers))
		for name := range headers {
			v.Headers[name] = hiddenValue
		}
	}
	return v
}

func (a *API) openHeaders(t *postrider.Target) (map[string]string, error) {
	if len(t.SealedHeaders) == 0 {
		return nil, nil
	}
	plain, err := a.Box.Open(t.SealedHeaders, seal.HeadersAD(t.Tenant))
	if err != nil {
		return nil, err
	}
	var headers map[string]string
	return headers, json.Unmarshal(plain, &headers)
}

func (a *API) sealHeaders(t *postrider.Target) error {
	if len(t.Headers) == 0 {
		t.SealedHeaders, t.Headers = nil, nil
		return nil
	}
	plain, err := json.Marshal(t.Headers)
	if err != nil {
		return err
	}
	t.SealedHeaders, t.Headers = a.Box.Seal(plain, seal.HeadersAD(t.Tenant)), nil
	return nil
}

// apply merges an object into a target (RFC 7396) and checks the result. What may not be changed is a fault.
func (c *call) apply(ctx context.Context, o object, t *postrider.Target) error {
	var faults postrider.Faults
	before := *t
	headers, err := c.api.openHeaders(t)
	if err != nil {
		return fmt.Errorf("open headers: %w", err)
	}
	t.Headers = maps.Clone(headers)
	view := c.api.viewTarget(&before)
	o.read("", &faults, map[string]member{
		"url":          required(text(&t.URL)),
		"name":         text(&t.Name),
		"headers":      mergeHeaders(&t.Headers, headers),
		"retry":        mergeRetry(&t.Retry),
		"maxInFlight":  count(&t.MaxInFlight),
		"allowPrivate": boolean(&t.AllowPrivate),
		"id":           readOnly(view.ID),
		"state":        readOnly(view.State),
		"stateReason":  readOnly(view.StateReason),
		"createdAt":    readOnly(view.CreatedAt),
		"updatedAt":    readOnly(view.UpdatedAt),
	})
	faults = addOthers(faults, t.Check())
	var guard error
	if t.URL != before.URL || t.AllowPrivate != before.AllowPrivate {
		guard = c.api.Guard.CheckURL(ctx, t.URL, t.AllowPrivate)
	}
	if len(faults) > 0 {
		return addOthers(faults, guard).Err()
	}
	if !c.admin && (t.AllowPrivate != before.AllowPrivate || before.AllowPrivate && t.URL != before.URL) {
		return postrider.Errorf(postrider.CodeForbidden, "allowPrivate, and the url of a target that has it, are changed with the admin key only")
	}
	if guard != nil {
		return guard
	}
	if maps.Equal(headers, t.Headers) { // sealing again would look like a change
		t.SealedHeaders, t.Headers = before.SealedHeaders, before.Headers
		return nil
	}
	return c.api.sealHeaders(t)
}

// addOthers adds the faults of err in fields that have none yet.
func addOthers(faults postrider.Faults, err error) postrider.Faults {
	var more postrider.Faults
	more.Add("", err)
	for _, f := range more {
		if !slices.ContainsFunc(faults, func(there postrider.FieldError) bool { return there.Field == f.Field }) {
			faults = append(faults, f)
		}
	}
	return faults
}

func mergeHeaders(dest *map[string]string, stored map[string]string) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = nil
			return nil
		}
		var given map[string]*string
		if err := typed(raw, &given, "an object of strings"); err != nil {
			return err
		}
		if *dest == nil {
			*dest = map[string]string{}
		}
		for name, value := range given {
			switch old, there := stored[name]; {
			case value == nil:
				delete(*dest, name)
			case *value == hiddenValue && there:
				(*dest)[name] = old
			default:
				(*dest)[name] = *value
			}
		}
		return nil
	}
}

func mergeRetry(dest *postrider.RetryPolicy) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = postrider.RetryPolicy{}
			return nil
		}
		o, err := parseObject(raw)
		if err != nil {
			return fmt.Errorf(`must be an object such as {"base": "10s", "max": "4h", "window": "24h"}`)
		}
		var faults postrider.Faults
		o.read("retry.", &faults, map[string]member{"base": duration(&dest.Base), "max": duration(&dest.Max), "window": duration(&dest.Window)})
		return faults.Err()
	}
}

func count(dest *int) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = 0
			return nil
		}
		n, err := strconv.Atoi(string(raw))
		if err != nil || n < 1 {
			return fmt.Errorf("must be a whole number from 1 to %d", postrider.MaxTargetInFlight)
		}
		*dest = n
		return nil
	}
}

func boolean(dest *bool) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = false
			return nil
		}
		return typed(raw, dest, "true or false")
	}
}

func createTarget(c *call) error {
	o, err := c.readObject(jsonMedia, false)
	if err != nil {
		return err
	}
	t := &postrider.Target{Tenant: c.tenant}
	err = o.made(func(o object) error { return c.apply(c.r.Context(), o, t) }, "id", "state", "stateReason", "createdAt", "updatedAt")
	if err != nil {
		return err
	}
	raw, shown := sign.NewSecret()
	t.Secrets = []postrider.Secret{{Sealed: c.api.Box.Seal(raw, seal.SecretAD(c.tenant)), CreatedAt: c.api.Clock().UTC()}}
	if err := c.api.Database.CreateTarget(c.r.Context(), t); err != nil {
		return err
	}
	c.api.synced(c.r.Context(), t.Version)
	v := c.api.viewTarget(t)
	v.Secret = shown
	c.location("targets", t.ID)
	c.etag(t.Version)
	return c.answer(http.StatusCreated, v)
}

func (c *call) location(collection string, id int64) {
	c.w.Header().Set("Location", c.api.base+"/webhooks/"+collection+"/"+strconv.FormatInt(id, 10))
}

func getTarget(c *call) error {
	id, err := c.entityID("target")
	if err != nil {
		return err
	}
	t, err := c.api.Database.Target(c.r.Context(), c.tenant, id)
	if err != nil {
		return err
	}
	c.etag(t.Version)
	return c.answer(http.StatusOK, c.api.viewTarget(t))
}

func listTargets(c *call) error {
	return listEntities(c, func(p postrider.Page) ([]*postrider.Target, string, error) {
		return c.api.Database.Targets(c.r.Context(), c.tenant, p)
	}, c.api.viewTarget)
}

func patchTarget(c *call) error {
	id, err := c.entityID("target")
	if err != nil {
		return err
	}
	o, err := c.readObject(patchMedia, false)
	if err != nil {
		return err
	}
	return c.changeTarget(id, func(t *postrider.Target) error { return c.apply(c.r.Context(), o, t) })
}

// changeTarget changes a target and answers with it.
func (c *call) changeTarget(id int64, change func(*postrider.Target) error) error {
	match, err := c.match(c.targetVersion(id))
	if err != nil {
		return err
	}
	t, err := c.api.Database.UpdateTarget(c.r.Context(), c.tenant, id, match, change)
	if err != nil {
		return err
	}
	c.api.synced(c.r.Context(), t.Version)
	c.etag(t.Version)
	return c.answer(http.StatusOK, c.api.viewTarget(t))
}

func enableTarget(c *call) error {
	id, err := c.entityID("target")
	if err != nil {
		return err
	}
	if err := c.nothing(); err != nil {
		return err
	}
	return c.changeTarget(id, func(t *postrider.Target) error {
		if t.State == postrider.TargetOff {
			t.State, t.StateReason = postrider.TargetOn, ""
		}
		return nil
	})
}

func rotateSecret(c *call) error {
	id, err := c.entityID("target")
	if err != nil {
		return err
	}
	if err := c.nothing(); err != nil {
		return err
	}
	raw, shown := sign.NewSecret()
	t, err := c.api.Database.UpdateTarget(c.r.Context(), c.tenant, id, 0, func(t *postrider.Target) error {
		now := c.api.Clock().UTC()
		valid := t.SecretsAt(now)
		for i := range valid {
			if valid[i].ExpiresAt.IsZero() {
				valid[i].ExpiresAt = now.Add(c.api.SecretOverlap)
			}
		}
		if len(valid) >= maxSecrets { // the oldest makes room
			valid = valid[len(valid)-maxSecrets+1:]
		}
		t.Secrets = append(valid, postrider.Secret{Sealed: c.api.Box.Seal(raw, seal.SecretAD(t.Tenant)), CreatedAt: now})
		return nil
	})
	if err != nil {
		return err
	}
	c.api.synced(c.r.Context(), t.Version)
	return c.answer(http.StatusCreated, secretView{shown})
}

func deleteTarget(c *call) error {
	return c.remove("target", c.targetVersion, func(id int64, match uint64, cascade bool) error {
		return c.api.Database.DeleteTarget(c.r.Context(), c.tenant, id, match, cascade)
	})
}

// remove deletes an entity and answers.
func (c *call) remove(what string, version func(int64) func() (uint64, error), remove func(id int64, match uint64, cascade bool) error) error {
	id, err := c.entityID(what)
	if err != nil {
		return err
	}
	match, err := c.match(version(id))
	if err != nil {
		return err
	}
	var faults postrider.Faults
	c.known(&faults)
	cascade := c.flag("cascade", &faults)
	if err := faults.Err(); err != nil {
		return err
	}
	if err := remove(id, match, cascade); err != nil {
		return err
	}
	c.api.syncedToLast(c.r.Context())
	return c.empty(http.StatusNoContent)
}

// targetVersion tells the version of a target that is there.
func (c *call) targetVersion(id int64) func() (uint64, error) {
	return func() (uint64, error) {
		t, err := c.api.Database.Target(c.r.Context(), c.tenant, id)
		if err != nil {
			return 0, err
		}
		return t.Version, nil
	}
}
