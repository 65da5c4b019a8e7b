package config

import (
	"fmt"
	"strings"
)

// Fault is one setting that is wrong.
type Fault struct {
	Name    string // as it was written: "--timeout", "POSTRIDER_TIMEOUT", "timeout in FILE"
	Value   string // quoted; "" if it is a secret or there is none
	Message string // what is wrong and what would be right
}

// Error holds every fault of a configuration.
type Error struct{ Faults []Fault }

// Error tells the faults, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Faults) == 1 {
		b.WriteString("the configuration has a fault:")
	} else {
		fmt.Fprintf(&b, "the configuration has %d faults:", len(e.Faults))
	}
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.Name)
		if f.Value != "" {
			b.WriteString(" " + f.Value)
		}
		b.WriteString(": " + f.Message)
	}
	return b.String()
}

// reader turns written settings into values and gathers the faults.
type reader struct {
	sources *Sources
	check   EngineCheck // nil: none
	faults  []Fault
}

// faultf adds a fault of a setting that was given a value that may be shown.
func (r *reader) faultf(name, value, format string, args ...any) {
	r.faults = append(r.faults, Fault{Name: r.sources.written(name), Value: quote(value), Message: fmt.Sprintf(format, args...)})
}

// hiddenf adds a fault of a setting whose value is not shown.
func (r *reader) hiddenf(name, format string, args ...any) {
	r.faults = append(r.faults, Fault{Name: r.sources.written(name), Message: fmt.Sprintf(format, args...)})
}

// quote shows a value, shortened.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
