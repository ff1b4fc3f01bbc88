package tree

import "fmt"

// MaxFileBytes is the longest file that is read.
const MaxFileBytes = 4 << 20

// Kind says what a file is.
type Kind uint8

// Kinds of files.
const (
	Plan Kind = iota
	Template
)

var kinds = [...]struct{ name, is, schema string }{
	Plan:     {"plan", `has "products", "plays", "sales" or several of them`, ""},
	Template: {"template", `has an "id" and a "price"`, "#/$defs/template"},
}

// Reader reads one file and gathers what is wrong with it.
type Reader struct {
	Kind     Kind
	File     string // the name that problems carry; it is not opened
	Problems Problems
}

// Problem says what is wrong with a value.
func (r *Reader) Problem(n *Node, format string, args ...any) {
	r.ProblemAt(n.Path, n.Line, n.Column, "%s%s", fmt.Sprintf(format, args...), unquoted(n.Node))
}

// ProblemAt says what is wrong at a place. Who has heard enough hears no more.
func (r *Reader) ProblemAt(path string, line, column int, format string, args ...any) {
	if len(r.Problems) >= enoughProblems {
		return
	}
	r.Problems = append(r.Problems, Problem{File: r.File, Path: path, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...)})
}

// kind gives the words for what the file is.
func (r *Reader) kind() (name, is string) { return kinds[r.Kind].name, kinds[r.Kind].is }
