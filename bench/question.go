package bench

import (
	"cmp"
	"fmt"
	"strings"
)

// Question is what a report answers with one figure, and what that must be.
type Question struct {
	Name   string    `json:"name"`             // for benchstat
	Asked  string    `json:"asked"`            // for people
	Figure float64   `json:"figure"`           // the median of the rounds
	Rounds []float64 `json:"rounds,omitempty"` // where there are several
	Unit   string    `json:"unit,omitempty"`
	Must   float64   `json:"must"`
	AtMost bool      `json:"at_most,omitempty"` // else at least
	Met    bool      `json:"met"`
	Beside string    `json:"beside,omitempty"` // what it was made of
}

// atLeast answers with the median of the rounds' figures, which must be no less.
func atLeast(must float64, name, asked string, rounds ...float64) Question {
	q := Question{Name: name, Asked: asked, Must: must, Rounds: rounds, Figure: median(rounds)}
	q.Met = q.Figure >= must
	return q
}

// atMost answers with the median of the rounds' figures, which must be no more.
func atMost(must float64, name, asked string, rounds ...float64) Question {
	q := atLeast(must, name, asked, rounds...)
	q.AtMost, q.Met = true, q.Figure <= must
	return q
}

// in says what the figure is of, and what it was made of.
func (q Question) in(unit, beside string, args ...any) Question {
	q.Unit, q.Beside = unit, fmt.Sprintf(beside, args...)
	return q
}

// String is a line of progress.
func (q Question) String() string {
	bound, met := "≥", "met"
	if q.AtMost {
		bound = "≤"
	}
	if !q.Met {
		met = "NOT MET"
	}
	return fmt.Sprintf("%s\t%s\t%s %s\t%s\t%s", q.Asked, q.value(q.Figure), bound, q.value(q.Must), met, q.Beside)
}

// value writes a figure to three digits or, of large ones, to the whole number.
func (q Question) value(v float64) string {
	text := fmt.Sprintf("%.3g", v)
	if v >= 100 {
		text = fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSpace(text + " " + q.Unit)
}

func (s *sheet) questions(all []Question) {
	s.put("QUESTION\tFIGURE\tMUST\t\tOF\n")
	for _, q := range all {
		s.put("%s\n", q)
	}
}

// questions adds a line each.
func (k *kept) questions(all []Question) {
	for _, q := range all {
		rounds := q.Rounds
		if len(rounds) == 0 {
			rounds = []float64{q.Figure}
		}
		for _, figure := range rounds {
			k.line(q.Name, 1, "%.4f %s", figure, strings.ReplaceAll(cmp.Or(q.Unit, "ratio"), " ", "-"))
		}
	}
}
