// Package api is the REST API: targets, filters and subscriptions, event intake, deliveries, attempts and replay, and the
// keys of tenants.
//
// One table of routes (table.go) serves requests and makes the OpenAPI document, from the types that are read and
// written. Every fault is an RFC 9457 problem document; one function (status) maps a postrider.Code to a status.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/budget"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/seal"
	"github.com/postrider/postrider/internal/trace"
)

// DefaultSecretOverlap is how long a secret signs on after a newer one took its place.
const DefaultSecretOverlap = 24 * time.Hour

// maxRequests is how many requests are served at once, in all. The tenant that has most of them is refused first: storing, not
// counting, is what takes time, so what is over this would only wait.
const maxRequests = 2048

// Guard judges the addresses of targets.
type Guard interface {
	CheckURL(ctx context.Context, rawURL string, allowPrivate bool) error
}

// Options are what the API is made of.
type Options struct {
	Database postrider.Database
	Events   postrider.EventLog
	Queue    postrider.Queue
	Outcomes postrider.OutcomeLog
	Payloads postrider.PayloadStore
	Cache    *match.Cache // of this process, brought up to date by each change; nil: there is none
	Box      *seal.Box
	Guard    Guard
	Budget   *budget.Budget // of payload bytes in memory

	AdminKey      string
	BasePath      string        // prefix of all paths; "" is "/"
	MaxPayload    int64         // bytes of an event
	SecretOverlap time.Duration // 0: DefaultSecretOverlap
	Version       string        // of the program

	Tracer     *trace.Tracer         // nil: off
	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

// API is the role. It is safe for concurrent use.
type API struct {
	Options
	base    string // without a slash at its end
	routes  []*route
	keys    keyCache
	metrics *metrics
	places  *budget.Budget // of requests being served
	late    late

	unavailable struct { // requests that ended so
		at       atomic.Int64 // when one was logged, in milliseconds
		unlogged atomic.Int64 // since then
	}

	document func() []byte // the OpenAPI document, made when it is first asked for
}

// New makes an API.
func New(o Options) *API {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SecretOverlap == 0 {
		o.SecretOverlap = DefaultSecretOverlap
	}
	a := &API{Options: o, base: strings.TrimRight(o.BasePath, "/"), metrics: newMetrics(o.Registerer), places: budget.New(maxRequests)}
	a.routes = a.table()
	a.document = sync.OnceValue(a.openAPI)
	return a
}

// maxPayload is what intake takes: the setting, or what the events log takes where that is less.
func (a *API) maxPayload() int64 {
	if limit := a.Events.Limits().MaxBytes; limit > 0 {
		return min(limit, a.MaxPayload)
	}
	return a.MaxPayload
}

// Handler serves the API.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serve) }

// syncWait bounds how long an answer waits until this process's cache has the change.
const syncWait = 2 * time.Second

// synced waits until the cache of this process has a change.
func (a *API) synced(ctx context.Context, version uint64) {
	if a.Cache == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	if err := a.Cache.Sync(ctx, version); err != nil {
		a.Logger.Warn("the cache does not have a change yet", "version", version, "error", err)
	}
}

// syncedToLast waits for whatever was changed last: after a deletion, which gives no version.
func (a *API) syncedToLast(ctx context.Context) {
	if a.Cache == nil {
		return
	}
	version, err := a.Database.Version(ctx)
	if err != nil {
		a.Logger.Warn("the change feed can't be read", "error", err)
		return
	}
	a.synced(ctx, version)
}
