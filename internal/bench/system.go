package bench

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/postrider/postrider/client"
)

// system is the system under test: serve, as one process or as one a role.
type system struct {
	r     *run
	api   *process
	procs []*process // api among them
	roles []string   // of procs
	key   string
	env   []string
	http  *http.Client // for metrics
	c     *client.Client
}

// serve starts the system on a folder of the run, with further flags.
func (r *run) serve(flags ...string) (*system, error) {
	if r.Split {
		return r.serveRoles([]string{"api", "consumer", "dispatcher", "retry", "archiver"}, flags...)
	}
	return r.serveRoles([]string{"all"}, flags...)
}

// subscribed starts a sink and the system, with n targets at the sink that get the events of the run.
func (r *run) subscribed(n int) (*remoteSink, *system, error) {
	sink, err := r.startSink()
	if err != nil {
		return nil, nil, err
	}
	s, err := r.serve()
	if err != nil {
		return nil, nil, err
	}
	return sink, s, s.subscribe(sink, r.kind, 0, n, nil)
}

// serveRoles starts a process for each of some roles. The first is the one whose API is used, if it has one.
func (r *run) serveRoles(roles []string, flags ...string) (*system, error) {
	s := &system{r: r, key: r.keys[0], http: newHTTP(), env: []string{"POSTRIDER_ADMIN_KEY=" + r.keys[0], "POSTRIDER_SECRET_KEY=" + r.secretKey()}}
	for _, role := range roles {
		if _, err := s.add(role, flags...); err != nil {
			return nil, err
		}
	}
	s.api = s.procs[0]
	var err error
	s.c, err = s.clientOf("")
	return s, err
}

// clientOf makes a client that acts for a tenant.
func (s *system) clientOf(tenant string) (*client.Client, error) {
	return client.New(client.Options{URL: s.api.url, Key: s.key, Tenant: tenant, HTTP: s.http})
}

// secretKey is the environment's, since a database that is there already was written with one, or else the run's.
func (r *run) secretKey() string { return cmp.Or(os.Getenv("POSTRIDER_SECRET_KEY"), r.keys[1]) }

// add starts a process of some roles.
func (s *system) add(roles string, flags ...string) (*process, error) {
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(s.r.dir, "data"), "--log-level", "warn", "--roles", roles}
	args = append(append(args, s.r.Serve...), flags...)
	profile, gather, err := s.r.profiled(roles)
	if err != nil {
		return nil, err
	}
	p, err := s.r.start(s.env, append(args, profile...)...)
	if err != nil {
		return nil, err
	}
	gather(p)
	s.procs, s.roles = append(s.procs, p), append(s.roles, roles)
	return p, nil
}

// stop ends all processes cleanly.
func (s *system) stop() {
	for _, p := range s.procs {
		p.stop()
	}
}

// end stops the processes of some roles.
func (s *system) end(ended ...string) {
	var procs []*process
	var roles []string
	for i, p := range s.procs {
		if slices.Contains(ended, s.roles[i]) {
			p.stop()
			continue
		}
		procs, roles = append(procs, p), append(roles, s.roles[i])
	}
	s.procs, s.roles = procs, roles
}

// of is the first process of a role.
func (s *system) of(role string) *process {
	for i, p := range s.procs {
		if s.roles[i] == role {
			return p
		}
	}
	return s.api
}

// usage sums what the processes have used.
func (s *system) usage() (sum usage, ok bool) {
	for _, p := range s.procs {
		u, known := p.usage()
		if !known {
			return usage{}, false
		}
		sum.cpu, sum.rss, sum.peak = sum.cpu+u.cpu, sum.rss+u.rss, sum.peak+u.peak
	}
	return sum, true
}

// resetPeak makes the peak of memory begin anew.
func (s *system) resetPeak() {
	for _, p := range s.procs {
		resetPeak(p.cmd.Process.Pid)
	}
}

// subscribe registers n targets of the sink, from number first on, for a type.
func (s *system) subscribe(sink *remoteSink, eventType string, first, n int, change func(*client.Target)) error {
	if err := s.subscribeAs(s.c, sink, eventType, first, n, change); err != nil {
		return err
	}
	return s.settle()
}

// subscribeAs does so for the tenant of a client, and does not wait until it holds.
func (s *system) subscribeAs(c *client.Client, sink *remoteSink, eventType string, first, n int, change func(*client.Target)) error {
	filter, err := c.CreateFilter(s.r.ctx, client.Filter{Events: []string{eventType}})
	if err != nil {
		return fmt.Errorf("making the filter: %w", err)
	}
	for i := first; i < first+n; i++ {
		t := client.Target{URL: sink.target(i), AllowPrivate: true}
		if change != nil {
			change(&t)
		}
		target, err := c.CreateTarget(s.r.ctx, t)
		if err != nil {
			return fmt.Errorf("registering a target: %w", err)
		}
		if _, err := c.CreateSubscription(s.r.ctx, client.Subscription{TargetID: target.ID, FilterID: filter.ID}); err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
	}
	return nil
}

// settle waits until processes other than the API's have the changes too, which is 1 s at most.
func (s *system) settle() error {
	if len(s.procs) == 1 {
		return nil
	}
	return pause(s.r.ctx, 1500*time.Millisecond)
}

// endpoint is where the load goes, and as whom.
func (s *system) endpoint() endpoint {
	return endpoint{url: s.api.url + "/webhooks/events", header: http.Header{"Authorization": {"Bearer " + s.key}}}
}

// newKind makes a type of events that nobody has subscribed to.
func newKind() string {
	raw := make([]byte, 8)
	rand.Read(raw)
	return "bench." + hex.EncodeToString(raw) + ".v1"
}

// secret makes a key of n random bytes, as base64.
func secret(n int) string {
	raw := make([]byte, n)
	rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}
