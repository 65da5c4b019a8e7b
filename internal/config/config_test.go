package config_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
)

// parse reads settings as the command does: flags, then the environment, then the file.
func parse(t *testing.T, env map[string]string, args ...string) (*config.Config, error) {
	t.Helper()
	var cli struct {
		Serve struct {
			config.Flags
		} `cmd:""`
		Other struct {
			Listen string `default:"untouched"`
		} `cmd:""`
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	sources := config.NewSources("serve", lookup, os.ReadFile)
	parser, err := kong.New(&cli, kong.Resolvers(sources))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"serve"}, args...)); err != nil {
		t.Fatal(err)
	}
	return cli.Serve.Check(sources, func(_ config.Seam, e config.Engine) error {
		if e.URL.Host == "" && e.Scheme != config.SchemeSQLite {
			return postrider.Invalid("", "no host")
		}
		return nil
	})
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postrider.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8400" || c.BasePath != "/" || c.Data != "./postrider-data" || len(c.Roles) != 5 {
		t.Errorf("wrong defaults: %+v", c)
	}
	if c.Retry.Base != 10*time.Second || c.Retry.Max != 4*time.Hour || c.Retry.Window != 24*time.Hour || c.Timeout != 15*time.Second {
		t.Errorf("wrong delivery defaults: %+v", c.Retry)
	}
	if c.InlineLimit != 128<<10 || c.MaxPayload != 16<<20 || c.MemoryBudget != 256<<20 || c.MaxInFlight != 512 || c.TargetMaxInFlight != 32 {
		t.Errorf("wrong limits: %+v", c)
	}
	if c.Drain != 30*time.Second || c.SecretOverlap != 24*time.Hour || c.Retention != 30*24*time.Hour {
		t.Errorf("wrong times: %+v", c)
	}
	if c.AdminKey != "" || c.SecretKey != nil || c.RootCAs != nil || c.EgressProxy != nil || !c.Embedded() {
		t.Errorf("something is set that was not given: %+v", c)
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	path := file(t, "retry-base: 1s\nretry-max: 2s\ntimeout: 3s\nmax-in-flight: 7\nroles: [api, retry]\nallow-targets:\n  - 10.0.0.0/8\n  - ::1\n")
	env := map[string]string{"POSTRIDER_RETRY_MAX": "20s", "POSTRIDER_TIMEOUT": "30s", "POSTRIDER_CONFIG": path, "POSTRIDER_DRAIN": ""}
	c, err := parse(t, env, "--timeout", "4s")
	if err != nil {
		t.Fatal(err)
	}
	if c.Retry.Base != time.Second || c.Retry.Max != 20*time.Second || c.Timeout != 4*time.Second || c.MaxInFlight != 7 {
		t.Errorf("layers are wrong: %+v %v %d", c.Retry, c.Timeout, c.MaxInFlight)
	}
	if !c.Has(config.RoleAPI) || !c.Has(config.RoleRetry) || c.Has(config.RoleConsumer) {
		t.Errorf("roles %v", c.Roles)
	}
	if len(c.AllowTargets) != 2 || c.AllowTargets[1].String() != "::1/128" {
		t.Errorf("allow-targets %v", c.AllowTargets)
	}
	if c.Drain != 30*time.Second {
		t.Errorf("an empty variable must count as not set; drain is %v", c.Drain)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t, "retry_base: 1s\nnonsense: 1\ndrain: {a: 1}\nmax-payload: lots\n")
	env := map[string]string{"POSTRIDER_TIMEOUT": "soon", "POSTRIDER_SECRET_KEY": "c2VjcmV0"}
	_, err := parse(t, env, "--config", path, "--listen", "8400", "--roles", "api,cook", "--admin-key", "tiny",
		"--retry-window", "8d", "--events", "ftp://x", "--allow-targets", "10.0.0.1/8", "--log-level", "loud",
		"--database", "mysql://u:hunter2@db/x?sslpassword=hunter2&password=hunter2", "--egress-proxy", "socks://u:hunter2@p", "--ca-file", "/nowhere", "--max-in-flight", "0")
	var faults *config.Error
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`retry_base in ` + path + `: is no setting; it is written "retry-base"`,
		"nonsense in " + path, "drain in " + path, "max-payload in " + path + ` "lots"`,
		`POSTRIDER_TIMEOUT "soon"`, "POSTRIDER_SECRET_KEY: must be base64", `--listen "8400"`, `"cook" is no role`, "--admin-key: must be 16",
		`--retry-window "8d": must be 1s to 7d`, `--events "ftp://x": there is no engine`,
		"did you mean 10.0.0.0/8?", `--log-level "loud"`, "--egress-proxy", `--ca-file "/nowhere"`, `--max-in-flight "0"`, "--database",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault says %q", want)
		}
	}
	for _, secret := range []string{"hunter2", "tiny", "c2VjcmV0"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the secret %q is shown", secret)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

// A shared database wants both keys, and says so of both at once.
func TestSharedDatabaseWantsKeys(t *testing.T) {
	t.Parallel()
	const at = "--database=postgres://u@a:5432,b:5433/x?sslmode=verify-full"
	_, err := parse(t, nil, at)
	if err == nil || !strings.Contains(err.Error(), "admin-key: is required") || !strings.Contains(err.Error(), "secret-key: is required") {
		t.Errorf("got %v", err)
	}
	c, err := parse(t, nil, at, "--admin-key=0123456789abcdef", "--secret-key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	if err != nil || c.Database.Scheme != "postgres" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFaultsBetweenSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ want, args string }{
		{"--retry-max", "--retry-max=5s"},
		{"--timeout", "--retry-window=10s --retry-max=10s"},
		{"--inline-limit", "--max-payload=100KiB --inline-limit=101KiB"},
		{"--inline-limit", "--memory-budget=8MiB --inline-limit=9MiB"},
		{"--memory-budget", "--memory-budget=8MiB --max-payload=9MiB"},
		{`--memory-budget "1": must be at least 1MiB`, "--memory-budget=1"},
		{"--queue: no host", "--queue=sqs: --events=kafka:///?password=hunter2"},
		{"--events: no host", "--queue=sqs: --events=kafka:///?password=hunter2"},
		{"--payload-retention", "--payload-retention=7d"},
		{"--base-path", "--base-path=hooks"},
		{"--data", "--data="},
		{"secret-key: is required", "--database=postgres://db/x"},
		{"admin-key: is required", "--database=postgresql://db/x"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, nil, strings.Fields(tt.args)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want a fault of %s, got %v", tt.want, err)
			}
		})
	}
}

// A size that nobody set is nobody's fault: it follows what was set.
func TestSizesFollow(t *testing.T) {
	t.Parallel()
	const k, m = 1 << 10, 1 << 20
	for _, tt := range []struct {
		args                 string
		inline, most, budget int64
	}{
		{"--max-payload=64KiB", 64 * k, 64 * k, 256 * m},
		{"--max-payload=512MiB", 128 * k, 512 * m, 512 * m},
		{"--memory-budget=8MiB", 128 * k, 8 * m, 8 * m},
		{"--inline-limit=300MiB", 300 * m, 300 * m, 300 * m},
		{"--memory-budget=1MiB --max-payload=1KiB", k, k, m},
		{"--memory-budget=512MiB --max-payload=512MiB --inline-limit=1MiB", m, 512 * m, 512 * m},
	} {
		c, err := parse(t, nil, strings.Fields(tt.args)...)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
		} else if c.InlineLimit != tt.inline || c.MaxPayload != tt.most || c.MemoryBudget != tt.budget {
			t.Errorf("%s: got %d, %d, %d", tt.args, c.InlineLimit, c.MaxPayload, c.MemoryBudget)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	if _, err := parse(t, nil, "--config", "/nowhere.yaml"); err == nil || !strings.Contains(err.Error(), "/nowhere.yaml") {
		t.Errorf("got %v", err)
	}
	if _, err := parse(t, nil, "--config", file(t, "- a\n- b\n")); err == nil {
		t.Error("a list is no mapping")
	}
	if _, err := parse(t, nil, "--config", file(t, "")); err != nil {
		t.Errorf("an empty file sets nothing: %v", err)
	}
}

func TestSecretKeyAndBasePath(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	c, err := parse(t, map[string]string{"POSTRIDER_SECRET_KEY": key}, "--base-path", "/hooks/v1/")
	if err != nil {
		t.Fatal(err)
	}
	if string(c.SecretKey) != strings.Repeat("k", 32) || c.BasePath != "/hooks/v1" {
		t.Errorf("got %q %q", c.SecretKey, c.BasePath)
	}
}

func TestProfilesStayOnLoopback(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"127.0.0.1:8402", "localhost:0", "[::1]:8402"} {
		if c, err := parse(t, nil, "--pprof", good); err != nil || c.Pprof != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{":8402", "0.0.0.0:8402", "10.0.0.1:8402", "example.com:8402", "127.0.0.1"} {
		if _, err := parse(t, nil, "--pprof", bad); err == nil || !strings.Contains(err.Error(), "--pprof") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if c, err := parse(t, nil); err != nil || c.Pprof != "" {
		t.Errorf("profiles are on by default: %v", err)
	}
}
