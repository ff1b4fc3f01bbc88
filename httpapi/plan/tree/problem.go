package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File    string `json:"-"`              // as in Reader
	Path    string `json:"path"`           // as sales[fans-day].sessions[fans-day-10].duration; "" for the file
	Line    int    `json:"line,omitempty"` // from 1; 0 if it has none
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"` // what is wrong, and what would be right
}

// String gives "plan.yaml:12:9: path: message", without what is not known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		if p.File != "" {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%d:%d", p.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems are all that is wrong with a file, in the order of its lines.
// An empty value is no error, though it is not nil when kept as one: test its
// length.
type Problems []Problem

// Error gives one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Bounds of what a file of garbage can make us say: how many problems are
// gathered, and how many of them, the first in the file, are told.
const (
	enoughProblems = 10_000
	maxProblems    = 1000
)

// InOrder sorts by line and cuts what is over maxProblems, saying how many.
func (p Problems) InOrder() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Message, b.Message))
	})
	p = slices.Compact(p)
	if len(p) > maxProblems {
		more := len(p) - maxProblems
		p = append(p[:maxProblems:maxProblems], Problem{File: p[0].File,
			Message: fmt.Sprintf("and more: %d problems at least", more)})
	}
	return p
}
