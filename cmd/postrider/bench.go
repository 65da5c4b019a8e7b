package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/bench"
	"github.com/postrider/postrider/internal/config"
)

type benchCommand struct {
	Case     []string      `help:"Cases to run, comma-separated; if none is given, all that fit the engines." placeholder:"NAME,..." group:"Bench"`
	List     bool          `help:"List the cases and end." group:"Bench"`
	Duration time.Duration `help:"How long one measurement takes; a case makes several." default:"3s" group:"Bench"`
	Pending  int           `help:"How many deliveries wait in the cases backlog and retries; a tenth of them in the case pending; at least 1000." default:"1000000" group:"Bench"`
	Profile  string        `help:"Folder for CPU profiles of the server, one every 10 s. They cost a little." placeholder:"FOLDER" group:"Bench"`
	JSON     bool          `name:"json" help:"Print the record as JSON instead of a table." group:"Bench"`
	Dir      string        `help:"Folder in which the temporary folders are made: the disk that is measured. If not given, the system's." placeholder:"FOLDER" group:"Bench"`
	Quiet    bool          `help:"Do not tell on standard error what is being done." group:"Bench"`

	Events   string `help:"Engine of the events log, as for serve." default:"sqlite:" group:"Engines"`
	Queue    string `help:"Engine of the delivery queue." default:"sqlite:" group:"Engines"`
	Payloads string `help:"Engine of large payloads." default:"sqlite:" group:"Engines"`
	Outcomes string `help:"Engine of the outcome log." default:"sqlite:" group:"Engines"`
	Database string `help:"Engine of entities and deliveries." default:"sqlite:" group:"Engines"`
	Serve    string `help:"Further flags of serve, separated by spaces." placeholder:"FLAGS" group:"Engines"`
}

// Help stands below the flags.
func (*benchCommand) Help() string {
	return `The server under test, the receiver and the bare loop run as processes of this binary; the load comes from this one. The bare loop
POSTs each event to a proxy that POSTs it on to the same receiver, with no storage, matching or signing: the ceiling of the machine.
Engines other than sqlite: must be empty ones that nobody else uses; if no seam is sqlite:, each role runs in a process of its own.

The exit status is 1 if something that was accepted did not arrive or a case could not be measured, and 0 also if a figure is below
what it is to reach. docs/benchmarks.md explains the cases.`
}

// Run measures and shows what was measured.
func (b *benchCommand) Run(e *env) error {
	if b.List {
		for _, c := range bench.Cases() {
			e.out.printf("%-12s %s", c.Name, c.About)
		}
		return nil
	}
	if err := b.check(); err != nil {
		return err
	}
	o, err := b.options(e)
	if err != nil {
		return err
	}
	record, err := bench.Run(e.ctx, o)
	if record != nil {
		err = errors.Join(err, b.show(e.out, record))
	}
	return err
}

// check tells what would measure nothing.
func (b *benchCommand) check() error {
	var faults []config.Fault
	if b.Duration <= 0 {
		faults = append(faults, config.Fault{Name: "--duration", Value: strconv.Quote(b.Duration.String()), Message: "must be above 0: a measurement takes time"})
	}
	if b.Pending < leastPending {
		faults = append(faults, config.Fault{Name: "--pending", Value: strconv.Quote(strconv.Itoa(b.Pending)), Message: fmt.Sprintf("must be at least %d", leastPending)})
	}
	if faults == nil {
		return nil
	}
	return &config.Error{Faults: faults}
}

// leastPending leaves some deliveries to each target of the cases that hold so many, or a tenth of them.
const leastPending = 1000

func (b *benchCommand) options(e *env) (bench.Options, error) {
	binary, err := os.Executable()
	if err != nil {
		return bench.Options{}, fmt.Errorf("finding this binary: %w", err)
	}
	number, _ := build()
	o := bench.Options{Binary: binary, Version: number, Dir: b.Dir, Duration: b.Duration, Pending: b.Pending, Profile: b.Profile, Cases: b.Case, Progress: e.err, Split: true}
	if b.Quiet {
		o.Progress = io.Discard
	}
	for _, seam := range [][2]string{{"--events", b.Events}, {"--queue", b.Queue}, {"--payloads", b.Payloads}, {"--outcomes", b.Outcomes}, {"--database", b.Database}} {
		embedded := strings.HasPrefix(seam[1], "sqlite:")
		o.Remote, o.Split = o.Remote || !embedded, o.Split && !embedded
		o.Serve = append(o.Serve, seam[0], seam[1])
	}
	o.Serve = append(o.Serve, strings.Fields(b.Serve)...)
	return o, nil
}

func (b *benchCommand) show(w io.Writer, record *bench.Record) error {
	if !b.JSON {
		return record.Table(w)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(record)
}

// benchChildCommand is what bench starts besides servers.
type benchChildCommand struct {
	Kind     string `arg:""`
	Argument string `arg:"" optional:""`
}

// Run runs the child until a signal.
func (b *benchChildCommand) Run(e *env) error {
	return bench.RunChild(e.ctx, bench.Child(b.Kind), b.Argument, e.err)
}
