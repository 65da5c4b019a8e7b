package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startPatience is how long a child may take until it is ready.
const startPatience = 2 * time.Minute

// process is a child that is ready.
type process struct {
	url   string
	took  time.Duration // from start to ready
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	tail []string // of its standard error
}

var readyLine = regexp.MustCompile(` is ready at (http://[^ ]+)`)

// start starts the binary and waits until it is ready. env are further variables.
func (r *run) start(env []string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(r.ctx, r.Binary, args...), ended: make(chan struct{})}
	p.cmd.Env = append(environment(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", args[0], err)
	}
	r.procs = append(r.procs, p)
	ready := make(chan string, 1)
	go p.follow(stderr, ready)
	timer := time.NewTimer(startPatience)
	defer timer.Stop()
	select {
	case p.url = <-ready:
		p.took = time.Since(begun)
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended before it was ready:\n%s", args[0], p.log())
	case <-timer.C:
		return nil, fmt.Errorf("%s was not ready within %s:\n%s", args[0], startPatience, p.log())
	}
}

// environment is this process's without settings of serve, save passwords, which have no flag.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "POSTRIDER_") && !strings.HasSuffix(name, "_PASSWORD") && !strings.HasSuffix(name, "_SECRET_KEY")
	})
}

// follow reads standard error to its end, then waits for the process.
func (p *process) follow(stderr io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case ready <- m[1]:
			default:
			}
		}
		p.mu.Lock()
		p.tail = append(p.tail[max(0, len(p.tail)-20):], lines.Text())
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // how it ended is told by what it wrote
	close(p.ended)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// stop ends the process cleanly, or at once if that takes too long.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
	}
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) usage() (usage, bool) { return usageOf(p.cmd.Process.Pid) }
