package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider/test/harness"
)

// The roles, each of which gets a process of its own.
var roles = []string{"api", "consumer", "dispatcher", "retry", "archiver"}

// addresses are where the servers, or proxies in front of them, are reached.
type addresses struct {
	kafka, outcomes, sqs, s3, pg string // host:port; outcomes: the Kafka that they go by
	registry                     string // URL
}

func direct() addresses {
	return addresses{kafka: os.Getenv("STACK_KAFKA"), outcomes: os.Getenv("STACK_KAFKA"), sqs: hostOf(os.Getenv("AWS_ENDPOINT_URL_SQS")), s3: hostOf(os.Getenv("AWS_ENDPOINT_URL_S3")),
		pg: hostOf(os.Getenv("STACK_PG")), registry: os.Getenv("STACK_REGISTRY")}
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// fleet is a system of several processes on topics, queues, a bucket and a database of its own.
type fleet struct {
	name     string
	key      string
	secret   string
	at       addresses
	settings []string
	serving  atomic.Pointer[harness.Server] // the process started last that serves the API
	caching  []*harness.Server              // the processes that keep a subscription cache
}

// api is the process that serves the API.
func (f *fleet) api() *harness.Server { return f.serving.Load() }

// caches are the processes that keep a subscription cache and still run.
func (f *fleet) caches() []*harness.Server {
	return slices.DeleteFunc(slices.Clone(f.caching), func(s *harness.Server) bool {
		select {
		case <-s.Exited():
			return true
		default:
			return false
		}
	})
}

// newFleet names a system and makes its database. Its processes are started with settings.
func newFleet(t *testing.T, settings ...string) *fleet {
	t.Helper()
	needServers(t)
	return newFleetAt(t, direct(), settings...)
}

// newFleetAt is newFleet with servers of which some are others than those of all tests.
func newFleetAt(t *testing.T, at addresses, settings ...string) *fleet {
	t.Helper()
	f := &fleet{name: "pr-" + strings.ToLower(rand.Text()[:12]), key: "admin-" + rand.Text(), at: at, settings: settings,
		secret: "c3RhY2stc2VjcmV0LWtleS1zdGFjay1zZWNyZXQta2U="}
	f.makeDatabase(t)
	return f
}

func (f *fleet) makeDatabase(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, "postgres://postgres@"+f.at.pg+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{f.name}.Sanitize()); err != nil {
		t.Fatal(err)
	}
}

// arguments are those of every process of the fleet, with the servers at some addresses.
func (f *fleet) arguments(at addresses) []string {
	q := url.QueryEscape
	return append([]string{
		"--events", "kafka://" + at.kafka + "/" + f.name + "?partitions=4&registry=" + q(at.registry),
		"--outcomes", "kafka://" + at.outcomes + "/" + f.name + "-outcomes?partitions=4",
		"--queue", "sqs://" + f.name + "?region=us-east-1&endpoint=" + q("http://"+at.sqs),
		"--payloads", "s3://" + f.name + "/payloads?region=us-east-1&endpoint=" + q("http://"+at.s3),
		"--database", "postgres://postgres@" + at.pg + "/" + f.name + "?sslmode=disable",
		"--allow-targets", "127.0.0.0/8",
	}, f.settings...)
}

// start starts a process with some roles.
func (f *fleet) start(t *testing.T, roles string, more ...string) *harness.Server {
	t.Helper()
	return f.startAt(t, f.at, roles, more...)
}

// startAt is start with the servers at other addresses.
func (f *fleet) startAt(t *testing.T, at addresses, roles string, more ...string) *harness.Server {
	t.Helper()
	begun := time.Now()
	s := harness.StartWith(t, harness.Settings{
		Key:  f.key,
		Env:  []string{"POSTRIDER_SECRET_KEY=" + f.secret, "AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")},
		Args: append(append([]string{"--roles", roles}, f.arguments(at)...), more...),
	})
	f.awaitReady(t, roles, s)
	t.Logf("%s is ready after %s", roles, time.Since(begun).Round(time.Millisecond))
	if strings.Contains(roles, "api") {
		f.serving.Store(s)
	}
	if strings.Contains(roles, "consumer") || strings.Contains(roles, "dispatcher") {
		f.caching = append(f.caching, s)
	}
	return s
}

// awaitReady waits until nothing that a process needs is missing: on a slow machine servers answer late.
func (f *fleet) awaitReady(t *testing.T, roles string, s *harness.Server) {
	t.Helper()
	harness.Await(t, func() string {
		a, err := s.Call(t.Context(), http.MethodGet, "/readyz", nil)
		if err != nil || a.Status != http.StatusOK {
			return fmt.Sprintf("%s is not ready: %v %s", roles, err, a.Body)
		}
		return ""
	})
}

// startAll starts five processes, one a role.
func (f *fleet) startAll(t *testing.T) map[string]*harness.Server {
	t.Helper()
	processes := map[string]*harness.Server{}
	for _, role := range roles {
		processes[role] = f.start(t, role)
	}
	return processes
}
