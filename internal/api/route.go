package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

// route is an entry of the API: what it serves, and what the OpenAPI document says of it.
type route struct {
	method, path string // {name} stands for one segment, percent-decoded
	id, tag      string
	summary      string
	open         bool // needs no key
	admin        bool // needs the admin key
	query        []parameter
	headers      []parameter
	in           any    // what the body is read as; nil: none
	empty        bool   // the body is read, and must be empty or an empty object
	media        string // of the body; "": JSON
	out          any    // what is answered; nil: nothing
	status       int    // of success
	fails        []int  // beyond those of every route, and of every body
	handle       func(*call) error

	segments []string
}

// parameter is a query parameter or header.
type parameter struct {
	name, doc string
	kind      string // "string", "integer", "boolean"
}

// call is a request on its way.
type call struct {
	api    *API
	route  *route
	w      http.ResponseWriter
	r      *http.Request
	params map[string]string
	tenant string
	admin  bool
	status int
}

// serve finds the route, checks the key, and answers.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{api: a, w: w, r: r, route: &route{path: "unknown"}}
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
				panic(fault)
			}
			a.Logger.Error("a request panicked", "route", c.route.path, "panic", fault, "stack", string(debug.Stack()))
			if c.status == 0 {
				c.fail(errors.New("panic"))
			}
		}
		a.metrics.requests.WithLabelValues(c.route.method+" "+c.route.path, strconv.Itoa(c.status)).Inc()
		a.metrics.seconds.WithLabelValues(c.route.method + " " + c.route.path).Observe(time.Since(start).Seconds())
	}()
	if r.ContentLength != 0 { // a body that nobody reads is discarded by the server, within this
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(bodyTime)) // not every writer has one
	}
	if err := c.find(); err != nil {
		c.fail(err)
		return
	}
	if err := c.authorize(r.Context()); err != nil {
		c.fail(err)
		return
	}
	if err := c.handle(); err != nil {
		c.fail(err)
	}
}

// handle runs the route. Routes that take query parameters look at them together with their other fields.
func (c *call) handle() error {
	if len(c.route.query) == 0 && !c.route.open && c.r.URL.RawQuery != "" {
		var faults postrider.Faults
		c.known(&faults)
		if err := faults.Err(); err != nil {
			return err
		}
	}
	if c.route.open {
		return c.route.handle(c)
	}
	if !c.api.places.TryAcquire(c.tenant, 1) {
		if strings.HasPrefix(c.route.id, "publish-") {
			c.api.metrics.refused.WithLabelValues("requests").Inc()
		}
		return &postrider.Error{Code: postrider.CodeUnavailable, Message: "too many requests are being served at the moment", RetryAfter: time.Second}
	}
	defer c.api.places.Release(c.tenant, 1)
	return c.route.handle(c)
}

// find finds the route: no path is a 404, a path without that method a 405.
func (c *call) find() error {
	path, ok := strings.CutPrefix(c.r.URL.EscapedPath(), c.api.base)
	if !ok || !strings.HasPrefix(path, "/") {
		return postrider.Errorf(postrider.CodeNotFound, "there is nothing at this path")
	}
	segments := strings.Split(path[1:], "/")
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for _, route := range c.api.routes {
		params, ok := route.match(segments)
		if !ok {
			continue
		}
		if route.method == method {
			c.route, c.params = route, params
			return nil
		}
		allowed = append(allowed, route.method)
	}
	if len(allowed) == 0 {
		return postrider.Errorf(postrider.CodeNotFound, "there is nothing at this path")
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &statusError{http.StatusMethodNotAllowed, "this path takes " + strings.Join(allowed, ", ")}
}

func (r *route) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	var params map[string]string
	for i, want := range r.segments {
		if !strings.HasPrefix(want, "{") {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if params == nil {
			params = map[string]string{}
		}
		params[want[1:len(want)-1]] = value
	}
	return params, true
}

// authorize finds whose key it is, and for which tenant it acts.
func (c *call) authorize(ctx context.Context) error {
	if c.route.open {
		return nil
	}
	key, ok := bearer(c.r.Header.Get("Authorization"))
	if !ok {
		return postrider.Errorf(postrider.CodeUnauthorized, "a key is needed: Authorization: Bearer KEY")
	}
	named := c.r.Header.Get("Postrider-Tenant")
	hash := sha256.Sum256([]byte(key))
	if c.api.isAdmin(hash) {
		c.admin, c.tenant = true, named
		if named == "" {
			c.tenant = postrider.DefaultTenant
		}
		return postrider.CheckTenant(c.tenant)
	}
	tenant, err := c.api.tenantOf(ctx, hash)
	if err != nil {
		return err
	}
	c.tenant = tenant
	if named != "" && named != tenant {
		return postrider.Errorf(postrider.CodeForbidden, "this key acts for its own tenant only")
	}
	if c.route.admin {
		return postrider.Errorf(postrider.CodeForbidden, "this needs the admin key")
	}
	return nil
}

func bearer(header string) (string, bool) {
	scheme, key, ok := strings.Cut(header, " ")
	key = strings.TrimSpace(key)
	return key, ok && strings.EqualFold(scheme, "Bearer") && key != ""
}

// entityID reads the id of a path. What is no id names nothing.
func (c *call) entityID(what string) (int64, error) {
	id, err := strconv.ParseInt(c.params["id"], 10, 64)
	if err != nil || id < 1 || id > postrider.MaxEntityID || strconv.FormatInt(id, 10) != c.params["id"] {
		return 0, postrider.Errorf(postrider.CodeNotFound, "there is no such %s", what)
	}
	return id, nil
}
