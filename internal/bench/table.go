package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes a record for people.
func (r *Record) Table(w io.Writer) error {
	fmt.Fprintf(w, "postrider %s, %s/%s, %d CPUs, engines: %s, %.0f s\n\n", r.Version, r.OS, r.Arch, r.CPUs, r.Engines, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tfigure\tmeasured\tto reach\t")
	for _, c := range r.Cases {
		c.rows(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.Cases {
		for _, n := range c.Notes {
			fmt.Fprintf(w, "\n%s: %s", c.Name, n)
		}
		if c.Error != "" {
			fmt.Fprintf(w, "\n%s FAILED: %s", c.Name, c.Error)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (c *CaseRecord) rows(w io.Writer) {
	name := c.Name
	for _, f := range c.Figures {
		mark := ""
		if f.Met != nil {
			mark = map[bool]string{true: "yes", false: "no"}[*f.Met]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, f.Name, written(f.Value, f.Unit), f.Target, mark)
		name = ""
	}
	if l := c.Ledger; l != nil {
		fmt.Fprintf(w, "%s\tledger: accepted, missing, twins\t%d, %d, %d\t%s\t%s\n", name, l.Accepted, l.Missing, l.Twins, "0 missing", map[bool]string{true: "no", false: "yes"}[l.lost()])
		if l.Refused+l.Failed > 0 {
			fmt.Fprintf(w, "\tevents refused, failed\t%d, %d\t\t\n", l.Refused, l.Failed)
		}
	}
}
