package main

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/postrider/postrider/internal/app"
)

type checkCommand struct {
	Data string `help:"Data folder; a server may be using it." default:"./postrider-data"`
	JSON bool   `name:"json" help:"Print the report as JSON."`
}

// Help stands below the flags.
func (*checkCommand) Help() string {
	return `Reads the whole file and tells what is wrong with it: damaged pages, rows that can't be read, payloads with pieces missing
or other bytes than were stored, references that lead nowhere. The exit status is 0 if nothing is, else 1. A server may go on meanwhile; its -wal file grows until the
check has ended, and is cut back to 64 MiB soon after.`
}

// Run checks and prints what was found.
func (c *checkCommand) Run(e *env) error {
	report, err := app.Check(e.ctx, c.Data)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(e.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		c.print(e, report)
	}
	if err == nil && !report.OK() {
		err = errors.New("the data folder has faults")
	}
	return err
}

func (c *checkCommand) print(e *env, report *app.Report) {
	for _, table := range slices.Sorted(maps.Keys(report.Counts)) {
		e.out.printf("%10d  %s", report.Counts[table], table)
	}
	for _, fault := range report.Faults {
		e.out.printf("fault: %s", printable(fault))
	}
	if report.More > 0 {
		e.out.printf("and %d faults more", report.More)
	}
	if report.OK() {
		e.out.printf("no faults")
	}
}
