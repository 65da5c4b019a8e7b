// Package harness drives the real binary for black-box tests: it builds it once, starts and kills it, speaks to its API,
// and receives what it sends.
package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen; it is reached only when it does not happen.
const Patience = 3 * time.Minute

var binary string

// Main builds the binary, unless POSTRIDER_TEST_BINARY names one to be tested, runs the tests, and returns the exit status.
func Main(m *testing.M) int {
	if binary = os.Getenv("POSTRIDER_TEST_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "postrider-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "postrider")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/postrider/postrider/cmd/postrider").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Command is the binary with arguments, with an environment that sets nothing of Postrider's.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "NO_COLOR=1"}
	return cmd
}

// Settings are how a server is started.
type Settings struct {
	Data string   // the folder of the embedded engines; "": none is needed
	Key  string   // the admin key; "": the one that the server writes into Data
	Env  []string // "NAME=value", beside what Command sets
	Args []string
}

// Server is a running postrider serve.
type Server struct {
	URL     string
	Key     string
	Data    string
	Tenant  string             // whom Call acts for; "": the default tenant
	Settled func(t *testing.T) // see Settle; nil: there is nothing to wait for
	Next    func() string      // the URL that the next request of Call goes to; nil: URL

	cmd    *exec.Cmd
	log    *Log
	exited chan struct{}
	status int
}

var readyLine = regexp.MustCompile(`^postrider is ready at (http://\S+)`)

// Start runs postrider serve on a folder and a free port, and waits until it is ready. The test ends it if it still runs.
func Start(t *testing.T, data string, args ...string) *Server {
	t.Helper()
	return StartWith(t, Settings{Data: data, Args: args})
}

// StartWith is Start with more settings.
func StartWith(t *testing.T, with Settings) *Server {
	t.Helper()
	s, err := LaunchWith(with)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("log of the server %s:\n%s", strings.Join(with.Args, " "), s.log.Tail(200))
		}
	})
	return s
}

// Launch is Start for use outside the test's goroutine; the caller ends the server.
func Launch(data string, args ...string) (*Server, error) {
	return LaunchWith(Settings{Data: data, Args: args})
}

// LaunchWith is Launch with more settings.
func LaunchWith(with Settings) (*Server, error) {
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	if with.Data != "" {
		args = append(args, "--data", with.Data)
	}
	s := &Server{Data: with.Data, Key: with.Key, cmd: Command(context.Background(), append(args, with.Args...)...), log: &Log{}, exited: make(chan struct{})}
	s.cmd.Env = append(s.cmd.Env, with.Env...)
	if with.Key != "" {
		s.cmd.Env = append(s.cmd.Env, "POSTRIDER_ADMIN_KEY="+with.Key)
	}
	ready := make(chan string, 1)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.follow(stderr, ready)
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case s.URL = <-ready:
	case <-s.exited:
		return nil, fmt.Errorf("the server ended with status %d before it was ready:\n%s", s.status, s.log.Tail(50))
	case <-timer.C:
		s.Kill()
		return nil, fmt.Errorf("the server was not ready in time:\n%s", s.log.Tail(50))
	}
	if with.Key != "" {
		return s, nil
	}
	key, err := os.ReadFile(filepath.Join(with.Data, "admin.key"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Kill()
		return nil, err
	}
	s.Key = strings.TrimSpace(string(key))
	return s, nil
}

// follow reads standard error to its end, then waits for the process.
func (s *Server) follow(stderr io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.log.add(lines.Text())
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			ready <- m[1]
		}
	}
	s.cmd.Wait()
	s.status = s.cmd.ProcessState.ExitCode()
	close(s.exited)
}

// Log returns what the server wrote.
func (s *Server) Log() *Log { return s.log }

// Signal sends a signal.
func (s *Server) Signal(sig os.Signal) { s.cmd.Process.Signal(sig) }

// Memory returns what /proc tells of the process's resident memory in bytes: now, and at its highest. It is 0 on systems that
// have no /proc.
func (s *Server) Memory() (rss, peak int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			rss = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			peak = kib << 10
		}
	}
	return rss, peak
}

// State is the state of the process as /proc tells it, such as 'S' or 'T'; 0 on systems that have no /proc.
func (s *Server) State() byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if _, after, ok := strings.Cut(string(stat), ") "); err == nil && ok && after != "" {
		return after[0]
	}
	return 0
}

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Kill ends the process at once, as a crash does, and waits for its end.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// Stop ends the process cleanly and returns its exit status.
func (s *Server) Stop(t *testing.T) int {
	t.Helper()
	s.Signal(syscall.SIGTERM)
	return s.WaitExit(t)
}

// StopCleanly ends the process, which is to tell that all went well.
func (s *Server) StopCleanly(t *testing.T) {
	t.Helper()
	if status := s.Stop(t); status != 0 {
		t.Errorf("exit status %d of a clean stop", status)
	}
}

// WaitExit waits for the end of the process and returns its exit status.
func (s *Server) WaitExit(t *testing.T) int {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-s.exited:
		return s.status
	case <-timer.C:
		t.Fatal("the server does not end")
		return -1
	}
}

// Log gathers lines.
type Log struct {
	mu    sync.Mutex
	lines []string
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// Tail returns the last lines.
func (l *Log) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n")
}

// Contains reports whether some line has a text.
func (l *Log) Contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// Messages counts the lines of the structured log by their message.
func (l *Log) Messages() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for _, line := range l.lines {
		if m := messageOf.FindStringSubmatch(line); m != nil {
			counts[m[1]]++
		}
	}
	return counts
}

var messageOf = regexp.MustCompile(`level=[A-Z]+ msg=("[^"]*"|\S+)`)
