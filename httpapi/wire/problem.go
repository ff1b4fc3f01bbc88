package wire

// ProblemType is the media type of problems.
const ProblemType = "application/problem+json"

// Problem says why a request failed (RFC 9457).
type Problem struct {
	Type     string        `json:"type" jsonschema:"format=uri"`
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`
	Instance string        `json:"instance,omitempty"`
	Problems []PlanProblem `json:"problems,omitempty"` // All that is wrong with a plan or a list.
}

// PlanProblem is one reason why a plan, or a list, can't be taken, and where in the text
// it is.
type PlanProblem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"`   // From 1; missing where it is not known.
	Column  int    `json:"column,omitempty"` // From 1; missing where it is not known.
}
