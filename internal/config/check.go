package config

import (
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

// Limits of settings.
const (
	MinAdminKey   = 16
	MaxAdminKey   = 256
	MaxTimeout    = 10 * time.Minute
	MaxMaxPayload = 1 << 30
	MinRetention  = 8 * 24 * time.Hour // longer than any retry window
	maxRetention  = 10 * 365 * 24 * time.Hour

	minOutcomeRetention = 24 * time.Hour
)

// Check turns what was written into a Config, or returns an *Error with every fault. sources tells how a setting was
// written; nil stands for flags. check looks into the URLs of engines; nil leaves that to those that open them.
func (f *Flags) Check(sources *Sources, check EngineCheck) (*Config, error) {
	r := &reader{sources: sources, check: check}
	if sources != nil {
		r.faults = append(r.faults, sources.faults...)
	}
	c := &Config{}
	r.general(c, f)
	r.api(c, f)
	r.engines(c, f)
	r.targets(c, f)
	r.delivery(c, f)
	r.payloads(c, f)
	r.tracing(c, f)
	if len(r.faults) > 0 {
		return nil, &Error{Faults: r.faults}
	}
	return c, nil
}

func (r *reader) general(c *Config, f *Flags) {
	c.Data = f.Data
	if c.Data == "" {
		r.faultf("data", f.Data, "must be the path of a folder")
	}
	c.Roles = r.roles(f.Roles)
	c.Drain = r.duration("drain", f.Drain, 0, time.Hour)
	c.DrainDelay = r.duration("drain-delay", f.DrainDelay, 0, 10*time.Minute)
	if err := c.LogLevel.UnmarshalText([]byte(r.oneOf("log-level", f.LogLevel, "debug", "info", "warn", "error"))); err != nil {
		c.LogLevel = slog.LevelInfo
	}
	c.LogFormat = r.oneOf("log-format", f.LogFormat, "text", "json")
}

// roles reads a list of roles.
func (r *reader) roles(s string) []Role {
	if s == "all" {
		return AllRoles()
	}
	var roles []Role
	for _, name := range strings.Split(s, ",") {
		role := Role(strings.TrimSpace(name))
		switch {
		case !slices.Contains(AllRoles(), role):
			r.faultf("roles", s, "%q is no role; use all, or some of api, consumer, dispatcher, retry, archiver, comma-separated", string(role))
		case !slices.Contains(roles, role):
			roles = append(roles, role)
		}
	}
	return roles
}

var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func (r *reader) api(c *Config, f *Flags) {
	c.Listen = r.address("listen", f.Listen)
	if f.MetricsListen != "" {
		c.MetricsListen = r.address("metrics-listen", f.MetricsListen)
	}
	if f.Pprof != "" {
		c.Pprof = r.loopback("pprof", f.Pprof)
	}
	c.BasePath = "/"
	if trimmed := strings.TrimSuffix(f.BasePath, "/"); trimmed != "" {
		c.BasePath = trimmed
		if !basePath.MatchString(trimmed) {
			r.faultf("base-path", f.BasePath, "must be / or a path such as /hooks, of letters, digits, . _ ~ -")
		}
	}
	c.AdminKey = Secret(f.AdminKey)
	if f.AdminKey != "" && !goodKey(f.AdminKey) {
		r.hiddenf("admin-key", "must be %d to %d printable ASCII characters without blanks", MinAdminKey, MaxAdminKey)
	}
}

func goodKey(s string) bool {
	graphic := func(c rune) bool { return c > ' ' && c < 0x7f }
	return len(s) >= MinAdminKey && len(s) <= MaxAdminKey && strings.IndexFunc(s, func(c rune) bool { return !graphic(c) }) < 0
}

// address reads host:port; port 0 lets the system choose.
func (r *reader) address(name, s string) string {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.faultf(name, s, "must be an address and a port, such as 127.0.0.1:8400 or :8400")
	}
	return s
}

// loopback reads host:port of an address that only this machine reaches.
func (r *reader) loopback(name, s string) string {
	before := len(r.faults)
	r.address(name, s)
	host, _, _ := net.SplitHostPort(s)
	ip, err := netip.ParseAddr(host)
	if len(r.faults) == before && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		r.faultf(name, s, "must be on loopback, such as 127.0.0.1:8402: whoever reaches it sees into the process")
	}
	return s
}

func (r *reader) engines(c *Config, f *Flags) {
	c.Events = r.engine(SeamEvents, f.Events)
	c.Queue = r.engine(SeamQueue, f.Queue)
	c.Payloads = r.engine(SeamPayloads, f.Payloads)
	c.Outcomes = r.engine(SeamOutcomes, f.Outcomes)
	c.Database = r.engine(SeamDatabase, f.Database)
	if c.Database.Scheme != "" && c.Database.Scheme != SchemeSQLite {
		if f.AdminKey == "" {
			r.hiddenf("admin-key", "is required with a shared database")
		}
		if f.SecretKey == "" {
			r.hiddenf("secret-key", "is required with a shared database: base64 of 32 bytes, the same in every process")
		}
	}
	c.Retention = r.duration("retention", f.Retention, MinRetention, maxRetention)
	c.EventRetention = r.duration("event-retention", f.EventRetention, MinRetention, maxRetention)
	c.OutcomeRetention = r.duration("outcome-retention", f.OutcomeRetention, minOutcomeRetention, maxRetention)
	c.PayloadRetention = r.duration("payload-retention", f.PayloadRetention, MinRetention, maxRetention)
}

func (r *reader) targets(c *Config, f *Flags) {
	if f.SecretKey != "" {
		key, err := ParseSecretKey(f.SecretKey)
		if err != nil {
			r.hiddenf("secret-key", "must be base64 of 32 bytes; openssl rand -base64 32 makes one")
		}
		c.SecretKey = key
	}
	c.SecretOverlap = r.duration("secret-overlap", f.SecretOverlap, time.Second, 90*24*time.Hour)
	c.AllowTargets = r.prefixes("allow-targets", f.AllowTargets)
	if f.EgressProxy != "" {
		c.EgressProxy = r.proxy("egress-proxy", f.EgressProxy)
	}
	if f.CAFile != "" {
		c.RootCAs = r.certificates("ca-file", f.CAFile)
	}
}

// ParseSecretKey reads base64 of 32 bytes, padded or not.
func ParseSecretKey(s string) ([]byte, error) {
	key, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(strings.TrimSpace(s), "="))
	if err != nil || len(key) != 32 {
		return nil, postrider.Errorf(postrider.CodeInvalid, "must be base64 of 32 bytes")
	}
	return key, nil
}

// prefixes reads addresses and CIDRs.
func (r *reader) prefixes(name, s string) []netip.Prefix {
	var list []netip.Prefix
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if a, aerr := netip.ParseAddr(part); aerr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			r.faultf(name, s, "%q is no address or CIDR; write 10.1.2.3, 10.0.0.0/8 or fd00::/8", part)
		case p.Masked() != p:
			r.faultf(name, s, "%q has bits behind its prefix; did you mean %s?", part, p.Masked())
		default:
			list = append(list, p)
		}
	}
	return list
}

// proxy reads the URL of an HTTP proxy, which may hold a password.
func (r *reader) proxy(name, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		r.hiddenf(name, "must be the URL of a proxy, such as http://proxy.internal:3128")
		return nil
	}
	return u
}

// certificates reads a PEM file, and adds it to the system's authorities.
func (r *reader) certificates(name, file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		r.faultf(name, file, "cannot be read: %v", err)
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		r.faultf(name, file, "holds no certificate in PEM")
	}
	return pool
}

func (r *reader) delivery(c *Config, f *Flags) {
	before := len(r.faults)
	c.Retry.Base = r.duration("retry-base", f.RetryBase, postrider.MinRetryBase, postrider.MaxRetryWindow)
	c.Retry.Max = r.duration("retry-max", f.RetryMax, postrider.MinRetryBase, postrider.MaxRetryWindow)
	c.Retry.Window = r.duration("retry-window", f.RetryWindow, time.Second, postrider.MaxRetryWindow)
	c.Timeout = r.duration("timeout", f.Timeout, 100*time.Millisecond, MaxTimeout)
	if len(r.faults) == before {
		if c.Retry.Max < c.Retry.Base {
			r.faultf("retry-max", f.RetryMax, "must not be below --retry-base, which is %s", formatDuration(c.Retry.Base))
		}
		if c.Timeout >= c.Retry.Window {
			r.faultf("timeout", f.Timeout, "must be below --retry-window, which is %s", formatDuration(c.Retry.Window))
		}
	}
	c.MaxInFlight = r.count("max-in-flight", f.MaxInFlight, 1, 100_000)
	c.TargetMaxInFlight = r.count("target-max-in-flight", f.TargetMaxInFlight, 1, postrider.MaxTargetInFlight)
}

func (r *reader) payloads(c *Config, f *Flags) {
	before := len(r.faults)
	c.InlineLimit = r.size("inline-limit", f.InlineLimit, 0, MaxMaxPayload)
	c.MaxPayload = r.size("max-payload", f.MaxPayload, 1, MaxMaxPayload)
	c.MemoryBudget = r.size("memory-budget", f.MemoryBudget, 1<<20, math.MaxInt64)
	if len(r.faults) > before {
		return
	}
	c.follow(f)
	if c.InlineLimit > c.MaxPayload {
		r.faultf("inline-limit", f.InlineLimit, "must not be above --max-payload, which is %s", formatSize(c.MaxPayload))
	}
	if c.MemoryBudget < c.MaxPayload {
		r.faultf("memory-budget", f.MemoryBudget, "must not be below --max-payload, which is %s", formatSize(c.MaxPayload))
	}
}

// follow has each size that nobody set give way to those that were set: a default must not be somebody's fault.
func (c *Config) follow(f *Flags) {
	free := func(name, written string) bool { return written == defaultOf(name) }
	if free("MaxPayload", f.MaxPayload) {
		if !free("InlineLimit", f.InlineLimit) {
			c.MaxPayload = max(c.MaxPayload, c.InlineLimit)
		}
		if !free("MemoryBudget", f.MemoryBudget) {
			c.MaxPayload = min(c.MaxPayload, c.MemoryBudget)
		}
	}
	if free("InlineLimit", f.InlineLimit) {
		c.InlineLimit = min(c.InlineLimit, c.MaxPayload)
	}
	if free("MemoryBudget", f.MemoryBudget) {
		c.MemoryBudget = max(c.MemoryBudget, c.MaxPayload)
	}
}

// defaultOf is the default of a field of Flags.
func defaultOf(field string) string {
	f, _ := reflect.TypeFor[Flags]().FieldByName(field)
	return f.Tag.Get("default")
}
