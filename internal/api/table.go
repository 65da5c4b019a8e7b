package api

import (
	"net/http"
	"strings"
)

var ifMatch = []parameter{{"If-Match", "the ETag that it must have, or several, comma-separated", "string"}}

// crud are the five routes of a kind of entity.
func crud(name, plural string, view, page, input any, create, get, list, patch, remove func(*call) error, cascade bool) []*route {
	base := "/webhooks/" + plural
	article := "a "
	title := strings.ToUpper(plural[:1]) + plural[1:]
	var deletion []parameter
	refused := []int{404, 412}
	if cascade {
		deletion = []parameter{{"cascade", "true: the subscriptions that use it go too", "boolean"}}
		refused = append(refused, 409)
	}
	return []*route{
		{method: http.MethodGet, path: base, id: "list-" + plural, tag: title, summary: "List " + plural + ", oldest first", query: pageParameters, out: page, status: 200, handle: list},
		{method: http.MethodPost, path: base, id: "create-" + name, tag: title, summary: "Make " + article + name, in: input, out: view, status: 201, handle: create},
		{method: http.MethodGet, path: base + "/{id}", id: "get-" + name, tag: title, summary: "Get " + article + name, out: view, status: 200, fails: []int{404}, handle: get},
		{method: http.MethodPatch, path: base + "/{id}", id: "change-" + name, tag: title, summary: "Change " + article + name + " by a JSON merge patch (RFC 7396)", headers: ifMatch,
			in: input, media: "application/merge-patch+json", out: view, status: 200, fails: []int{404, 412}, handle: patch},
		{method: http.MethodDelete, path: base + "/{id}", id: "delete-" + name, tag: title, summary: "Delete " + article + name, query: deletion, headers: ifMatch,
			status: 204, fails: refused, handle: remove},
	}
}

// table is the API: what is served, and what the OpenAPI document says.
func (a *API) table() []*route {
	var t []*route
	t = append(t, crud("target", "targets", targetView{}, list[targetView]{}, targetInput{}, createTarget, getTarget, listTargets, patchTarget, deleteTarget, true)...)
	t = append(t, crud("filter", "filters", filterView{}, list[filterView]{}, filterInput{}, createFilter, getFilter, listFilters, patchFilter, deleteFilter, true)...)
	t = append(t, crud("subscription", "subscriptions", subscriptionView{}, list[subscriptionView]{}, subscriptionInput{},
		createSubscription, getSubscription, listSubscriptions, patchSubscription, deleteSubscription, false)...)
	t = append(t, []*route{
		{method: http.MethodPost, path: "/webhooks/targets/{id}/secrets", id: "rotate-secret", tag: "Targets",
			summary: "Make a new secret; the one before signs too for a time", empty: true, out: secretView{}, status: 201, fails: []int{404}, handle: rotateSecret},
		{method: http.MethodPost, path: "/webhooks/targets/{id}/enable", id: "enable-target", tag: "Targets",
			summary: "Turn a target on again", headers: ifMatch, empty: true, out: targetView{}, status: 200, fails: []int{404, 412}, handle: enableTarget},

		{method: http.MethodPost, path: "/webhooks/events", id: "publish-event", tag: "Events", summary: "Publish one event: the body is its payload, any bytes",
			query: []parameter{{"type", "the event's type, if it is not in the header", "string"}},
			headers: []parameter{{"Postrider-Event-Type", "the event's type", "string"}, {"Postrider-Event-Id", "the event's id, else one is given", "string"},
				{"Content-Type", "travels with the payload", "string"}, {"traceparent", "W3C trace context", "string"},
				{"tracestate", "kept with traceparent, up to 512 characters", "string"}},
			in: []byte{}, media: "*/*", out: eventID{}, status: 202, handle: publish},
		{method: http.MethodPost, path: "/webhooks/events/batch", id: "publish-events", tag: "Events",
			summary: "Publish up to 1,000 events; all are checked before any is written", in: []batchItem{}, out: list[eventID]{}, status: 202,
			handle: publishBatch},
		{method: http.MethodGet, path: "/webhooks/events/{id}", id: "get-event", tag: "Events", summary: "Get an event and its newest deliveries",
			query: []parameter{{"after", "the next of the answer before", "string"}},
			out:   eventView{}, status: 200, fails: []int{404}, handle: getEvent},

		{method: http.MethodGet, path: "/webhooks/deliveries", id: "list-deliveries", tag: "Deliveries", summary: "List deliveries, newest first",
			query: deliveryParameters, out: deliveryList{}, status: 200, handle: listDeliveries},
		{method: http.MethodGet, path: "/webhooks/deliveries/{id}", id: "get-delivery", tag: "Deliveries", summary: "Get a delivery",
			out: deliveryView{}, status: 200, fails: []int{404}, handle: getDelivery},
		{method: http.MethodGet, path: "/webhooks/deliveries/{id}/attempts", id: "list-attempts", tag: "Deliveries", summary: "List a delivery's attempts",
			out: list[attemptView]{}, status: 200, fails: []int{404}, handle: listAttempts},
		{method: http.MethodPost, path: "/webhooks/deliveries/{id}/replay", id: "replay-delivery", tag: "Deliveries", summary: "Deliver once more what has ended",
			empty: true, out: deliveryView{}, status: 202, fails: []int{404, 409, 410}, handle: replayDelivery},

		{method: http.MethodPost, path: "/tenants/{tenant}/keys", id: "create-key", tag: "Keys", summary: "Make a tenant's key; it is shown once",
			admin: true, in: keyInput{}, out: keyView{}, status: 201, handle: createKey},
		{method: http.MethodGet, path: "/tenants/{tenant}/keys", id: "list-keys", tag: "Keys", summary: "List a tenant's keys",
			admin: true, out: list[keyView]{}, status: 200, handle: listKeys},
		{method: http.MethodDelete, path: "/tenants/{tenant}/keys/{id}", id: "delete-key", tag: "Keys", summary: "Delete a key; it is refused within a second",
			admin: true, status: 204, fails: []int{404}, handle: deleteKey},

		{method: http.MethodGet, path: "/openapi.json", id: "get-openapi", tag: "About", summary: "This document", open: true, status: 200, handle: showOpenAPI},
		{method: http.MethodGet, path: "/docs", id: "get-docs", tag: "About", summary: "The API, readable", open: true, status: 200, handle: showDocs},
	}...)
	for _, r := range t {
		r.segments = strings.Split(r.path[1:], "/")
	}
	return t
}
