package wire

import "reflect"

// Media types of bodies.
const (
	JSON   = "application/json"
	NDJSON = "application/x-ndjson"
)

// Bodies says by media type what a body, or each line of one, may be: a value of each
// type that it may have; none for text.
type Bodies map[string][]any

// Operation is what the OpenAPI document says of a route.
type Operation struct {
	Method, Path             string
	Tag                      string // which API it is of
	ID, Summary, Description string
	Security                 []string     // schemes, one of which is needed; none for anybody
	Query                    reflect.Type // a struct with a field for each parameter; nil is none
	Headers                  []string     // that may be sent, by the name of their component
	Body                     Bodies       // nil is none
	Optional                 bool         // the body may be left away
	Answers                  []Answer
	Problems                 string // statuses that callers must be ready for
}

// Answer is one that is no problem.
type Answer struct {
	Status  int
	Says    string // "" is what the comment of its type says
	Bodies  Bodies
	Headers []string
}
