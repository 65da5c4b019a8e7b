package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

const adminKey = "simulation-admin-key"

// process is a whole Postrider, with all roles, on a folder of its own.
type process struct {
	dir    string
	disk   *disk
	wire   *wire
	client *http.Client
	cancel context.CancelFunc
	ended  chan error
}

// launch starts a process on a folder and waits until it is ready.
func launch(t *testing.T, dir string, clock func() time.Time, targets *hosts, log io.Writer) *process {
	t.Helper()
	c, err := config.Parse("--data", dir, "--admin-key", adminKey, "--retry-base", "1s", "--retry-max", "20s", "--retry-window", "5m",
		"--timeout", "5s", "--inline-limit", "2KiB", "--drain", "20s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{dir: dir, wire: newWire(targets), cancel: cancel, ended: make(chan error, 1)}
	p.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: p.wire.dialAPI}}
	ready := make(chan struct{})
	go func() {
		p.ended <- app.Run(ctx, app.Options{
			Config: c, Version: "simulation", Logger: slog.New(slog.NewTextHandler(log, nil)), Clock: clock,
			Ready:    func(app.Ready) { close(ready) },
			Listen:   func(context.Context, string, string) (net.Listener, error) { return p.wire, nil },
			Resolver: p.wire, Dial: p.wire.dial,
		})
	}()
	select {
	case <-ready:
	case err := <-p.ended:
		t.Fatalf("it ended before it was ready: %v", err)
	}
	return p
}

// stop stops the process cleanly.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	if err := <-p.ended; err != nil {
		t.Errorf("the stop was not clean: %v", err)
	}
	p.client.CloseIdleConnections()
	p.wire.cut()
}

// crash ends the process as kill -9 does: what is in its files at this moment is copied to the folder that is returned, and
// nothing that it does afterwards reaches anybody.
func (p *process) crash(t *testing.T) string {
	t.Helper()
	synctest.Wait() // all goroutines wait: nobody is in the middle of a write
	dir := folder(t)
	for _, name := range []string{"postrider.db", "postrider.db-wal", "secret.key"} {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.wire.cut()
	p.cancel()
	p.client.CloseIdleConnections()
	go func() { <-p.ended }() // how it ends does not matter any more
	return dir
}

// call makes a request of a tenant. out may be nil.
func (p *process) call(method, path, tenant string, body, out any, headers ...string) (int, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		payload = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return 0, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, "http://postrider"+path, payload)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("Postrider-Tenant", tenant)
	if _, raw := body.([]byte); !raw && body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 || out == nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.Unmarshal(answer, out)
}
