// Package bench measures Postrider from outside: it starts the system under test as child processes of the same binary, a
// receiver as another, publishes from its own process, and keeps a ledger at both ends.
//
// A figure is a ratio of two measurements of one run wherever it can be, so that it can be read on another machine. What
// was accepted and did not arrive fails a case; what arrived twice is counted.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Options of a run.
type Options struct {
	Binary   string        // that children are started from
	Version  string        // of the binary, for the record
	Dir      string        // that temporary folders are made in; "" for the system's
	Serve    []string      // further flags of serve, such as --queue and its URL
	Remote   bool          // some engine in Serve is no embedded one
	Split    bool          // one process a role; only if no engine in Serve is embedded
	Duration time.Duration // of one measurement; 0: DefaultDuration
	Cases    []string      // names; none: all that fit the engines
	Profile  string        // folder for CPU profiles of the server, one every 10 s; "": none
	Pending  int           // deliveries that the cases with very many hold, pending a tenth of them; 0: DefaultPending
	Progress io.Writer     // told what is being done; nil: nobody

	keys []string // admin key and secret key of the servers
}

// DefaultDuration is how long one measurement takes if nothing else is said.
const DefaultDuration = 3 * time.Second

// DefaultPending is how many deliveries wait in the cases with very many, if nothing else is said.
const DefaultPending = 1_000_000

// Record is what a run has measured.
type Record struct {
	Version string        `json:"version"`
	OS      string        `json:"os"`
	Arch    string        `json:"arch"`
	CPUs    int           `json:"cpus"`
	Begun   time.Time     `json:"begun"`
	Seconds float64       `json:"seconds"`
	Engines string        `json:"engines"`
	Cases   []*CaseRecord `json:"cases"`
}

// CaseRecord is what one case has measured.
type CaseRecord struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Seconds float64  `json:"seconds"`
	Figures []Figure `json:"figures"`
	Ledger  *Ledger  `json:"ledger,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// ErrFailed says that a case could not be measured, or lost something. Figures below their targets are no failure.
var ErrFailed = errors.New("a case failed or lost something")

// Run runs cases one after the other. The record holds what was measured also if the error is ErrFailed.
func Run(ctx context.Context, o Options) (*Record, error) {
	cases, err := selected(o)
	if err != nil {
		return nil, err
	}
	if o.Duration <= 0 {
		o.Duration = DefaultDuration
	}
	if o.Pending <= 0 {
		o.Pending = DefaultPending
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	o.keys = []string{secret(32), secret(32)}
	begun := time.Now()
	r := &Record{Version: o.Version, OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Begun: begun.UTC(), Engines: engines(o)}
	failed := false
	for _, c := range cases {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		record := runCase(ctx, o, c)
		failed = failed || record.Error != "" || record.Ledger.lost()
		r.Cases = append(r.Cases, record)
	}
	r.Seconds = time.Since(begun).Seconds()
	if failed {
		return r, ErrFailed
	}
	return r, nil
}

// runCase runs one case in a folder of its own.
func runCase(ctx context.Context, o Options, c *Case) *CaseRecord {
	r := &run{Options: o, ctx: ctx, kind: newKind(), record: &CaseRecord{Name: c.Name, About: c.About, Figures: []Figure{}}}
	fmt.Fprintf(o.Progress, "%s: %s\n", c.Name, c.About)
	begun := time.Now()
	err := r.inFolder(c.run)
	r.record.Seconds = time.Since(begun).Seconds()
	if err != nil {
		r.record.Error = err.Error()
	}
	return r.record
}

// run is one case being run.
type run struct {
	Options
	ctx    context.Context
	dir    string
	record *CaseRecord
	procs  []*process
	after  []func() // called once the children have ended
	kind   string   // type of the events: a database that outlives the case has targets of cases before
}

// inFolder makes a temporary folder, measures, ends the children that are left, and removes the folder.
func (r *run) inFolder(measure func(*run) error) error {
	dir, err := os.MkdirTemp(r.Dir, "postrider-bench-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	r.dir = dir
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary folder does no harm
	defer func() {
		for _, p := range r.procs {
			p.kill()
		}
		for _, f := range r.after {
			f()
		}
	}()
	return measure(r)
}

// tell says what is being done.
func (r *run) tell(format string, args ...any) {
	fmt.Fprintf(r.Progress, "  "+format+"\n", args...)
}

// note adds what a reader of the figures has to know.
func (r *run) note(format string, args ...any) {
	r.record.Notes = append(r.record.Notes, fmt.Sprintf(format, args...))
}

// engines names the engines without what URLs may hide.
func engines(o Options) string {
	if !o.Remote {
		return "sqlite"
	}
	var kinds []string
	for i := 0; i+1 < len(o.Serve); i += 2 {
		scheme, _, ok := strings.Cut(o.Serve[i+1], ":")
		if ok && strings.HasPrefix(o.Serve[i], "--") {
			kinds = append(kinds, strings.TrimPrefix(o.Serve[i], "--")+"="+scheme)
		}
	}
	return strings.Join(kinds, " ")
}
