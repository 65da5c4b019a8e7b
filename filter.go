package postrider

import (
	"fmt"
	"time"
)

// Filter is a named group of event types.
type Filter struct {
	ID        int64
	Tenant    string
	Version   uint64 // of its last change in the feed; its ETag
	Events    []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Check refuses a filter without patterns, with faulty ones, with one twice, or with too many.
func (f *Filter) Check() error {
	var faults Faults
	switch {
	case len(f.Events) == 0:
		faults.Addf("events", "must have at least one event type or pattern")
	case len(f.Events) > MaxFilterEvents:
		faults.Addf("events", "has %d entries; at most %d are allowed", len(f.Events), MaxFilterEvents)
		return faults.Err() // what is in them would make the answer as long
	}
	seen := make(map[string]bool, len(f.Events))
	for i, pattern := range f.Events {
		field := fmt.Sprintf("events[%d]", i)
		if err := CheckPattern(pattern); err != nil {
			faults.Addf(field, "%s", fieldMessage(err))
		} else if seen[pattern] {
			faults.Addf(field, "%q is there twice", pattern)
		}
		seen[pattern] = true
	}
	return faults.Err()
}

// Matches reports whether one of the filter's patterns matches an exact type.
func (f *Filter) Matches(eventType string) bool {
	for _, pattern := range f.Events {
		if PatternMatches(pattern, eventType) {
			return true
		}
	}
	return false
}
