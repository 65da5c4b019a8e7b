package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/postrider/postrider"
)

// subscriptionView is a subscription as it is shown.
type subscriptionView struct {
	ID        int64  `json:"id"`
	TargetID  int64  `json:"targetId"`
	FilterID  int64  `json:"filterId"`
	Active    bool   `json:"active" doc:"only an active one delivers"`
	CreatedAt string `json:"createdAt" doc:"read-only"`
	UpdatedAt string `json:"updatedAt" doc:"read-only"`
}

// subscriptionInput is what a subscription is made or changed by.
type subscriptionInput struct {
	TargetID int64 `json:"targetId"`
	FilterID int64 `json:"filterId"`
	Active   *bool `json:"active,omitempty" doc:"true if it is left out"`
}

func viewSubscription(s *postrider.Subscription) subscriptionView {
	return subscriptionView{ID: s.ID, TargetID: s.TargetID, FilterID: s.FilterID, Active: s.Active, CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt)}
}

func applySubscription(o object, s *postrider.Subscription) error {
	var faults postrider.Faults
	view := viewSubscription(s)
	o.read("", &faults, map[string]member{
		"targetId": required(entity(&s.TargetID)),
		"filterId": required(entity(&s.FilterID)),
		"active": func(raw json.RawMessage, null bool) error {
			if null { // back to the default
				s.Active = true
				return nil
			}
			return typed(raw, &s.Active, "true or false")
		},
		"id": readOnly(view.ID), "createdAt": readOnly(view.CreatedAt), "updatedAt": readOnly(view.UpdatedAt),
	})
	for _, m := range []struct {
		name string
		id   int64
	}{{"targetId", s.TargetID}, {"filterId", s.FilterID}} {
		if _, given := o[m.name]; !given && m.id == 0 {
			faults.Addf(m.name, "is missing")
		}
	}
	return faults.Err()
}

// entity reads the id of an entity.
func entity(dest *int64) member {
	return func(raw json.RawMessage, _ bool) error {
		id, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || id < 1 || id > postrider.MaxEntityID {
			return fmt.Errorf("must be an id: a whole number from 1 to %d", int64(postrider.MaxEntityID))
		}
		*dest = id
		return nil
	}
}

func createSubscription(c *call) error {
	o, err := c.readObject(jsonMedia, false)
	if err != nil {
		return err
	}
	s := &postrider.Subscription{Tenant: c.tenant, Active: true}
	if err := o.made(func(o object) error { return applySubscription(o, s) }, "id", "createdAt", "updatedAt"); err != nil {
		return err
	}
	if err := c.api.Database.CreateSubscription(c.r.Context(), s); err != nil {
		return err
	}
	c.api.synced(c.r.Context(), s.Version)
	c.location("subscriptions", s.ID)
	c.etag(s.Version)
	return c.answer(http.StatusCreated, viewSubscription(s))
}

func getSubscription(c *call) error {
	id, err := c.entityID("subscription")
	if err != nil {
		return err
	}
	s, err := c.api.Database.Subscription(c.r.Context(), c.tenant, id)
	if err != nil {
		return err
	}
	c.etag(s.Version)
	return c.answer(http.StatusOK, viewSubscription(s))
}

func listSubscriptions(c *call) error {
	return listEntities(c, func(p postrider.Page) ([]*postrider.Subscription, string, error) {
		return c.api.Database.Subscriptions(c.r.Context(), c.tenant, p)
	}, viewSubscription)
}

func patchSubscription(c *call) error {
	id, err := c.entityID("subscription")
	if err != nil {
		return err
	}
	match, err := c.match(c.subscriptionVersion(id))
	if err != nil {
		return err
	}
	o, err := c.readObject(patchMedia, false)
	if err != nil {
		return err
	}
	s, err := c.api.Database.UpdateSubscription(c.r.Context(), c.tenant, id, match, func(s *postrider.Subscription) error { return applySubscription(o, s) })
	if err != nil {
		return err
	}
	c.api.synced(c.r.Context(), s.Version)
	c.etag(s.Version)
	return c.answer(http.StatusOK, viewSubscription(s))
}

func deleteSubscription(c *call) error {
	return c.remove("subscription", c.subscriptionVersion, func(id int64, match uint64, _ bool) error {
		return c.api.Database.DeleteSubscription(c.r.Context(), c.tenant, id, match)
	})
}

// subscriptionVersion tells the version of a subscription that is there.
func (c *call) subscriptionVersion(id int64) func() (uint64, error) {
	return func() (uint64, error) {
		v, err := c.api.Database.Subscription(c.r.Context(), c.tenant, id)
		if err != nil {
			return 0, err
		}
		return v.Version, nil
	}
}
