// Package config reads the settings of postrider serve: defaults, then a YAML file, then the environment, then flags. It
// reports every fault at once, each with the name as it was written, the value, and what would be right. The values of
// secrets are never printed.
package config

import (
	"crypto/x509"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/postrider/postrider"
)

// Config is the checked settings of a process.
type Config struct {
	Listen        string // host:port of the API, health and metrics
	BasePath      string // "/" or "/prefix", without a slash at the end
	MetricsListen string // host:port of metrics; "" for Listen
	Pprof         string // host:port of profiles, on loopback; "": none
	Data          string
	Roles         []Role

	Events, Queue, Payloads, Outcomes, Database Engine

	AdminKey      Secret        // "": kept in Data
	SecretKey     []byte        // 32 bytes; nil: kept in Data
	SecretOverlap time.Duration // how long a target's secret still signs after a new one took its place

	AllowTargets []netip.Prefix
	EgressProxy  *url.URL       // nil: none
	RootCAs      *x509.CertPool // nil: the system's

	Retry             postrider.RetryPolicy
	Timeout           time.Duration
	MaxInFlight       int
	TargetMaxInFlight int

	InlineLimit  int64
	MaxPayload   int64
	MemoryBudget int64

	Retention        time.Duration // of final deliveries and their attempts, from acceptance
	EventRetention   time.Duration // of events in the events log
	OutcomeRetention time.Duration // of outcomes in a log that keeps them once they are archived
	PayloadRetention time.Duration // of payloads in the payload store

	Drain      time.Duration
	DrainDelay time.Duration // from the moment when readiness says no to the moment when intake does
	LogLevel   slog.Level
	LogFormat  string // "text" or "json"

	OTLPEndpoint string  // base URL of a collector; "": no traces are made
	TraceRatio   float64 // share of the traces that begin here which are recorded
	TraceTargets bool    // messages carry traceparent
}

// Secret is a string that does not print itself.
type Secret string

// String hides the secret.
func (s Secret) String() string { return "[hidden]" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Role is a part of the system that a process can run.
type Role string

// The roles.
const (
	RoleAPI        Role = "api"
	RoleConsumer   Role = "consumer"
	RoleDispatcher Role = "dispatcher"
	RoleRetry      Role = "retry"
	RoleArchiver   Role = "archiver"
)

// AllRoles lists the roles in the order in which an event meets them.
func AllRoles() []Role {
	return []Role{RoleAPI, RoleConsumer, RoleDispatcher, RoleRetry, RoleArchiver}
}

// Has reports whether the process runs a role.
func (c *Config) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// Embedded reports whether some seam stands on the embedded engine, and so on the folder Data.
func (c *Config) Embedded() bool {
	for _, e := range []Engine{c.Events, c.Queue, c.Payloads, c.Outcomes, c.Database} {
		if e.Scheme == SchemeSQLite {
			return true
		}
	}
	return false
}
