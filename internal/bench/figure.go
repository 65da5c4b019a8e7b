package bench

import "fmt"

// Figure is one measured value, with the target it is to reach if there is one.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	Target string  `json:"target,omitempty"` // "≥ 0.5"; "" if none
	Met    *bool   `json:"met,omitempty"`    // nil without a target
}

// figure adds a value that has no target.
func (r *run) figure(name string, value float64, unit string) {
	r.record.Figures = append(r.record.Figures, Figure{Name: name, Value: value, Unit: unit})
}

// atLeast adds a value that is to be no less than a target.
func (r *run) atLeast(name string, value float64, unit string, target float64) {
	r.targeted(Figure{Name: name, Value: value, Unit: unit, Target: "≥ " + written(target, unit)}, value >= target)
}

// atMost adds a value that is to be no more than a target.
func (r *run) atMost(name string, value float64, unit string, target float64) {
	r.targeted(Figure{Name: name, Value: value, Unit: unit, Target: "≤ " + written(target, unit)}, value <= target)
}

func (r *run) targeted(f Figure, met bool) {
	f.Met = &met
	r.record.Figures = append(r.record.Figures, f)
}

// written writes a value with its unit, to three digits or so.
func written(v float64, unit string) string {
	digits := 2
	switch {
	case v >= 100 || v == float64(int64(v)):
		digits = 0
	case v >= 10:
		digits = 1
	}
	s := fmt.Sprintf("%.*f", digits, v)
	if unit == "" || unit == "ratio" {
		return s
	}
	return s + " " + unit
}
