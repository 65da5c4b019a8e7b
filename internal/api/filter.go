package api

import (
	"encoding/json"
	"net/http"

	"github.com/postrider/postrider"
)

// filterView is a filter as it is shown.
type filterView struct {
	ID        int64    `json:"id"`
	Events    []string `json:"events" doc:"event types, prefixes such as core.orders.*, or *"`
	CreatedAt string   `json:"createdAt" doc:"read-only"`
	UpdatedAt string   `json:"updatedAt" doc:"read-only"`
}

// filterInput is what a filter is made or changed by.
type filterInput struct {
	Events []string `json:"events"`
}

func viewFilter(f *postrider.Filter) filterView {
	return filterView{ID: f.ID, Events: f.Events, CreatedAt: stamp(f.CreatedAt), UpdatedAt: stamp(f.UpdatedAt)}
}

func applyFilter(o object, f *postrider.Filter) error {
	var faults postrider.Faults
	view := viewFilter(f)
	o.read("", &faults, map[string]member{
		"events": required(func(raw json.RawMessage, _ bool) error {
			var events []string
			err := typed(raw, &events, "an array of strings")
			f.Events = events
			if err != nil {
				f.Events = nil
			}
			return err
		}),
		"id": readOnly(view.ID), "createdAt": readOnly(view.CreatedAt), "updatedAt": readOnly(view.UpdatedAt),
	})
	return addOthers(faults, f.Check()).Err()
}

func createFilter(c *call) error {
	o, err := c.readObject(jsonMedia, false)
	if err != nil {
		return err
	}
	f := &postrider.Filter{Tenant: c.tenant}
	if err := o.made(func(o object) error { return applyFilter(o, f) }, "id", "createdAt", "updatedAt"); err != nil {
		return err
	}
	if err := c.api.Database.CreateFilter(c.r.Context(), f); err != nil {
		return err
	}
	c.api.synced(c.r.Context(), f.Version)
	c.location("filters", f.ID)
	c.etag(f.Version)
	return c.answer(http.StatusCreated, viewFilter(f))
}

func getFilter(c *call) error {
	id, err := c.entityID("filter")
	if err != nil {
		return err
	}
	f, err := c.api.Database.Filter(c.r.Context(), c.tenant, id)
	if err != nil {
		return err
	}
	c.etag(f.Version)
	return c.answer(http.StatusOK, viewFilter(f))
}

func listFilters(c *call) error {
	return listEntities(c, func(p postrider.Page) ([]*postrider.Filter, string, error) {
		return c.api.Database.Filters(c.r.Context(), c.tenant, p)
	}, viewFilter)
}

func patchFilter(c *call) error {
	id, err := c.entityID("filter")
	if err != nil {
		return err
	}
	match, err := c.match(c.filterVersion(id))
	if err != nil {
		return err
	}
	o, err := c.readObject(patchMedia, false)
	if err != nil {
		return err
	}
	f, err := c.api.Database.UpdateFilter(c.r.Context(), c.tenant, id, match, func(f *postrider.Filter) error { return applyFilter(o, f) })
	if err != nil {
		return err
	}
	c.api.synced(c.r.Context(), f.Version)
	c.etag(f.Version)
	return c.answer(http.StatusOK, viewFilter(f))
}

func deleteFilter(c *call) error {
	return c.remove("filter", c.filterVersion, func(id int64, match uint64, cascade bool) error {
		return c.api.Database.DeleteFilter(c.r.Context(), c.tenant, id, match, cascade)
	})
}

// filterVersion tells the version of a filter that is there.
func (c *call) filterVersion(id int64) func() (uint64, error) {
	return func() (uint64, error) {
		v, err := c.api.Database.Filter(c.r.Context(), c.tenant, id)
		if err != nil {
			return 0, err
		}
		return v.Version, nil
	}
}
