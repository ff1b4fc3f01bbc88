package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones on machines that have none installed

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/plan/tree"
	"doorbuster/httpapi/play"
)

// MaxFileBytes is the longest plan file that is read.
const MaxFileBytes = tree.MaxFileBytes

// What is wrong with a plan file.
type (
	Problem  = tree.Problem
	Problems = tree.Problems
)

// Options of Parse.
type Options struct {
	// Now is what "now" and "+30s" start from, and what days of a daily session
	// are past by. It is the clock of whoever applies the plan.
	Now time.Time
	// Play gives a template of plays that the state has, by id; nil if it has none.
	Play func(id string) (text string, known bool)
	// Stateless: the state is not at hand, so that plays of templates that are not in the
	// file are for the node to fill in.
	Stateless bool
	// File is the name that problems carry; it is not opened.
	File string
}

// Result is a plan that was read.
type Result struct {
	Plan *engine.Plan
	// Notes are what an operator should know of a plan that is right all the same.
	Notes []string

	positions map[string]position
	written   map[string]string // session ids by the ids of their days
}

type position struct{ line, column int }

// Parse reads a plan file. It gives either a result or problems: the plan is
// taken whole or not at all, and every problem is reported at once.
func Parse(data []byte, opts Options) (*Result, Problems) {
	r := reader{Reader: tree.Reader{File: opts.File}, opts: opts, sessions: map[string]*tree.Node{},
		plays: map[string]*play.Template{}, result: &Result{written: map[string]string{}}}
	root := r.Parse(data)
	if root != nil {
		r.CheckShape(root)
		r.plan(root)
	}
	r.checkSize()
	if len(r.Problems) > 0 {
		return nil, r.Problems.InOrder()
	}
	r.result.positions = map[string]position{}
	root.EachNode(func(n *tree.Node) { r.result.positions[n.Path] = position{n.Line, n.Column} })
	return r.result, nil
}

// Locate gives the line and column of what an engine.Problem or engine.Change
// calls path, or of the nearest thing around it that the file has. Both are 0
// where it has nothing of the kind.
func (r *Result) Locate(path string) (line, column int) {
	const sessions = ".sessions["
	if before, after, found := strings.Cut(path, sessions); found {
		if id, rest, found := strings.Cut(after, "]"); found && r.written[id] != "" {
			path = before + sessions + r.written[id] + "]" + rest
		}
	}
	for path != "" {
		if p, there := r.positions[path]; there {
			return p.line, p.column
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return 0, 0
}

// instants are times as a node says them, in UTC.
var instants = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// Local gives text, which a node says of what path calls, with its times by the clocks
// of the sale and in UTC.
func (r *Result) Local(path, text string) string {
	_, id, _ := strings.Cut(path, "sales[")
	id, _, _ = strings.Cut(id, "]")
	at := slices.IndexFunc(r.Plan.Sales, func(s engine.SalePlan) bool { return s.ID == id })
	if at < 0 {
		return text
	}
	zone, err := calendar.Zone(r.Plan.Sales[at].Timezone)
	if err != nil || zone == time.UTC {
		return text
	}
	return instants.ReplaceAllStringFunc(text, func(said string) string {
		t, err := time.Parse(time.RFC3339Nano, said)
		if err != nil {
			return said
		}
		utc := "15:04:05 UTC"
		if local := t.In(zone); local.YearDay() != t.YearDay() {
			utc = "2006-01-02 " + utc
		}
		return t.In(zone).Format("2006-01-02 15:04:05.999 -07:00") + " (" + t.Format(utc) + ")"
	})
}

// Problems says engine problems of applying the plan in the words of its file.
func (r *Result) Problems(file string, of []engine.Problem) Problems {
	problems := make(Problems, len(of))
	for i, p := range of {
		problems[i] = Problem{File: file, Path: p.Path, Message: p.Message}
		problems[i].Line, problems[i].Column = r.Locate(p.Path)
	}
	return problems.InOrder()
}

// reader holds one Parse.
type reader struct {
	tree.Reader
	opts     Options
	result   *Result
	sessions map[string]*tree.Node     // those so far, by id; days each by their own
	plays    map[string]*play.Template // by id; nil for what is wrong
	// bytes is what the sessions take in the log. Past engine.MaxPlanBytes no
	// more of them are made, so that a short file can't ask for much memory.
	bytes int
}

func (r *reader) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// plan reads the meaning of a file. What its shape makes unreadable is left out:
// the problem is known already.
func (r *reader) plan(root *tree.Node) {
	p := &engine.Plan{Now: engine.TimeOf(r.opts.Now)}
	r.result.Plan = p
	products := map[string]*tree.Node{}
	for _, n := range root.List("products") {
		p.Products = append(p.Products, r.product(n, products))
	}
	r.templates(root)
	sales := map[string]*tree.Node{}
	for _, n := range root.List("sales") {
		p.Sales = append(p.Sales, r.sale(n, sales))
	}
}

// checkSize holds the plan against what fits an entry of the log.
func (r *reader) checkSize() {
	size := r.bytes
	if len(r.Problems) == 0 && size <= engine.MaxPlanBytes {
		size = bytesOf(r.result.Plan)
	}
	if size > engine.MaxPlanBytes {
		r.ProblemAt("", 1, 1, "the plan takes %d bytes in the log, which are over %d; split it into several files, "+
			"by sale or by days", size, engine.MaxPlanBytes)
	}
}

func bytesOf(p *engine.Plan) int {
	return len(engine.EncodeBatch(engine.BatchHeader{}, engine.Command{Kind: engine.CmdApplyPlan, Plan: p}))
}

// id reads n's id under key and sees that seen has it not yet.
func (r *reader) id(n *tree.Node, key, what string, seen map[string]*tree.Node) string {
	at := n.Get(key)
	id := at.Text()
	if id == "" {
		return ""
	}
	if first := seen[id]; first != nil {
		r.Problem(at, "%q is the %s of line %d already; it is there twice", id, what, first.Line)
	} else {
		seen[id] = at
	}
	return id
}
