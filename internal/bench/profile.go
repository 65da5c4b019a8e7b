package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const profileTime = 10 * time.Second

// profiled returns the flag that has a process serve profiles, and what gathers them until the process ends; nothing if no
// profiles are wanted.
func (r *run) profiled(role string) (flags []string, gather func(*process), err error) {
	if r.Profile == "" {
		return nil, func(*process) {}, nil
	}
	l, err := (&net.ListenConfig{}).Listen(r.ctx, "tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	address := l.Addr().String()
	gather = func(p *process) { go r.gather(p, address, role) }
	return []string{"--pprof", address}, gather, nil
}

// gather writes one CPU profile after the other into the folder.
func (r *run) gather(p *process, address, role string) {
	for n := 1; r.ctx.Err() == nil; n++ {
		select {
		case <-p.ended:
			return
		default:
		}
		name := filepath.Join(r.Profile, fmt.Sprintf("%s-%s-%d-%d.pb.gz", r.record.Name, role, p.cmd.Process.Pid, n))
		if err := r.fetchProfile(address, name); err != nil {
			return // the process has ended, or the case has
		}
	}
}

func (r *run) fetchProfile(address, name string) error {
	ctx, cancel := context.WithTimeout(r.ctx, 2*profileTime)
	defer cancel()
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, int(profileTime.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := newHTTP().Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(name, raw, 0o600)
}
