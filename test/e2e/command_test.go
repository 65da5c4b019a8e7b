package e2e

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// output runs a command that must succeed.
func output(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := harness.Command(t.Context(), args...)
	cmd.Stdin = stdin
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("postrider %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func TestDemo(t *testing.T) {
	t.Parallel()
	out := output(t, nil, "demo")
	for _, want := range []string{"3.0 MiB", "signature", "attempt 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if strings.Contains(out, "\x1b[") {
		t.Error("colours though NO_COLOR is set")
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	if out := output(t, nil, "version"); !strings.Contains(out, "postrider ") || !strings.Contains(out, "go1.") {
		t.Errorf("version: %s", out)
	}
	help := output(t, nil, "serve", "--help")
	for _, flag := range []string{"listen", "base-path", "data", "roles", "events", "queue", "payloads", "outcomes", "database", "admin-key",
		"secret-key", "allow-targets", "retry-base", "retry-max", "retry-window", "timeout", "inline-limit", "max-payload", "memory-budget",
		"max-in-flight", "target-max-in-flight", "drain", "config", "metrics-listen", "log-level"} {
		if !strings.Contains(help, "--"+flag) {
			t.Errorf("serve --help does not name --%s", flag)
		}
	}
	for _, command := range []string{"demo", "send", "listen", "keys", "version"} {
		output(t, nil, command, "--help")
	}
}

func TestSendAndListen(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir())
	listen := harness.Command(t.Context(), "listen", "--server", s.URL, "--data", s.Data, "--events", "core.*")
	stdout, err := listen.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	listen.Stderr = os.Stderr
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	lines := follow(stdout)
	await(t, lines, "listening")

	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, []byte(`{"order": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(output(t, nil, "send", "core.orders.created.v1", file, "--server", s.URL, "--data", s.Data))
	await(t, lines, id)
	output(t, strings.NewReader("from stdin"), "send", "core.orders.paid", "-", "--id", "paid-1", "--content-type", "text/plain", "--server", s.URL, "--key", s.Key)
	await(t, lines, "paid-1")

	listen.Process.Signal(syscall.SIGTERM)
	for range lines {
	}
	if err := listen.Wait(); err != nil {
		t.Errorf("listen: %v", err)
	}
	var left struct{ Items []harness.Target }
	s.Do(t, 200, "GET", "/webhooks/targets", nil, &left)
	if len(left.Items) != 0 {
		t.Errorf("listen leaves %d targets", len(left.Items))
	}
}

func TestKeysCommand(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir())
	created := output(t, nil, "keys", "create", "acme", "--name", "ci", "--server", s.URL, "--data", s.Data)
	key := lastField(created)
	output(t, strings.NewReader("x"), "send", "a.b", "--server", s.URL, "--key", key)
	list := output(t, nil, "keys", "list", "acme", "--server", s.URL, "--data", s.Data)
	if !strings.Contains(list, "ci") || strings.Contains(list, key) {
		t.Errorf("keys list: %s", list)
	}
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	output(t, nil, "keys", "delete", "acme", id, "--server", s.URL, "--data", s.Data)
	if list := output(t, nil, "keys", "list", "acme", "--server", s.URL, "--data", s.Data); strings.Contains(list, id) {
		t.Errorf("the key is still there: %s", list)
	}
}

func TestSendSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir())
	out, err := harness.Command(t.Context(), "send", "no type!", "--server", s.URL, "--data", s.Data).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "eventType") && !strings.Contains(string(out), "type") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = harness.Command(t.Context(), "send", "a.b", "--server", s.URL, "--data", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--key") {
		t.Errorf("without a key: %v: %s", err, out)
	}
}

func lastField(s string) string {
	fields := strings.Fields(s)
	return fields[len(fields)-1]
}

// follow reads lines until the stream ends.
func follow(r io.Reader) <-chan string {
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// await waits for a line with a text.
func await(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	for line := range lines {
		if strings.Contains(line, text) {
			return
		}
	}
	t.Fatalf("no line has %q", text)
}
