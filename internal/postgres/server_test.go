package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider/internal/stacktest"
)

// pgServer is a PostgreSQL server of a test's own, which it may kill.
type pgServer struct {
	bin, dir string
	port     int
	cmd      *exec.Cmd
	log      *bytes.Buffer
}

// newServer makes a server with the programs of the one that STACK_PG names, or of the newest that is installed, and starts it.
func newServer(t *testing.T) *pgServer {
	t.Helper()
	server(t)
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		stacktest.Missing(t, "PostgreSQL's server programs (initdb, postgres) are not there")
	}
	s := &pgServer{bin: filepath.Dir(found[len(found)-1]), port: freePort(t)}
	var err error
	if s.dir, err = os.MkdirTemp("", "postrider-pg-"); err != nil { //nolint:usetesting // the server's user must get in
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	if account := serverAccount(t); account != nil {
		if err := os.Chown(s.dir, int(account.Uid), int(account.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	init := s.command(t, "initdb", "-D", filepath.Join(s.dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *pgServer) url() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// command runs a program of the server, which refuses to run as root.
func (s *pgServer) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: serverAccount(t)}
	return cmd
}

// serverAccount is who the server runs as; nil: as the test.
func serverAccount(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("the server does not run as root, and there is no user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// start starts the server and waits until it answers. What a killed one left may hold it up for a moment.
func (s *pgServer) start(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		s.log = &bytes.Buffer{}
		s.cmd = s.command(t, "postgres", "-D", filepath.Join(s.dir, "data"), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=")
		s.cmd.Stderr = s.log
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func(cmd *exec.Cmd) { _ = cmd.Wait(); close(ended) }(s.cmd)
		for answers := false; !answers; {
			select {
			case <-ended:
				answers = true // it did not start: again
			case <-time.After(50 * time.Millisecond):
				if s.answers() {
					return
				}
			}
		}
	}
	t.Fatalf("the server did not start: %s", s.log)
}

func (s *pgServer) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url())
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// kill ends the server and all its processes at once, as a power cut would.
func (s *pgServer) kill() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	// Its children are in sessions of their own, and end once they find that it is gone.
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), time.Second); err != nil {
			return
		} else {
			conn.Close()
		}
		<-time.After(10 * time.Millisecond)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
