package statement

import (
	"fmt"
	"strings"
)

// MostProblems is how many of them are told of one statement.
const MostProblems = 20

// Problem is one thing that is wrong with a statement.
type Problem struct {
	Line    int64  `json:"line"` // 0 for the file as a whole
	Message string `json:"message"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// Malformed is a file that is no statement, or not only: nothing of it was taken.
type Malformed struct {
	Problems []Problem // the first MostProblems
	More     int64     // that are not told
}

func (m *Malformed) Error() string {
	said := make([]string, 0, len(m.Problems)+1)
	for _, p := range m.Problems {
		said = append(said, p.String())
	}
	if m.More > 0 {
		said = append(said, fmt.Sprintf("and %d more", m.More))
	}
	return "not a statement that can be taken: " + strings.Join(said, "; ")
}

func (m *Malformed) add(p Problem) {
	if len(m.Problems) < MostProblems {
		m.Problems = append(m.Problems, p)
	} else {
		m.More++
	}
}
