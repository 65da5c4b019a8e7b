package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// spare is a server beside those of all tests, for one test to kill and start as it likes.
type spare struct {
	name string
	at   string // host:port
	env  []string
}

// newSpare starts one. It is wiped by the test.
func newSpare(t *testing.T, name string) *spare {
	t.Helper()
	needServers(t)
	dir, err := os.MkdirTemp("", "postrider-spare-") //nolint:usetesting // the user postgres cannot enter what t.TempDir makes
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 5)
	s := &spare{name: name, env: []string{"STACK_DATA=" + dir}}
	for n, v := range []string{"STACK_KAFKA_PORT", "STACK_KAFKA_CONTROLLER_PORT", "STACK_KAFKA_PROXIED_PORT", "STACK_KAFKA_PROXY_PORT", "STACK_PG_PORT"} {
		s.env = append(s.env, fmt.Sprintf("%s=%d", v, ports[n]))
		if v == "STACK_"+strings.ToUpper(name)+"_PORT" {
			s.at = fmt.Sprintf("127.0.0.1:%d", ports[n])
		}
	}
	t.Cleanup(func() { s.command("wipe").Run() })
	s.do(t, "start", name)
	return s
}

func (s *spare) kill(t *testing.T)  { t.Helper(); s.do(t, "kill", s.name) }
func (s *spare) start(t *testing.T) { t.Helper(); s.do(t, "start", s.name) }

func (s *spare) command(args ...string) *exec.Cmd {
	cmd := exec.Command("../../stack/stack", args...)
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

func (s *spare) do(t *testing.T, args ...string) {
	t.Helper()
	if out, err := s.command(args...).CombinedOutput(); err != nil {
		t.Fatalf("stack %v: %v\n%s", args, err, out)
	}
}

// freePorts are ports that nobody has, nor will have for a connection of its own while the server is away: clients get theirs from 32768.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil && tries < 1000 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all are held until the last is found
		ports = append(ports, port)
	}
	return ports
}
