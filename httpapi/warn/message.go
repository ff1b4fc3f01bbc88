package warn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"doorbuster/engine"
)

// Bounds of bodies.
const (
	MaxTemplateBytes = 16 << 10
	MaxBodyBytes     = 32 << 10
)

// Events of a Message.
const (
	Begins       = "begins"
	Repeats      = "repeats" // nobody has acknowledged it
	Acknowledged = "acknowledged"
	Over         = "over"
)

// Message is what a body's template has.
type Message struct {
	Event    string    `json:"event"` // begins, repeats, acknowledged, over
	Cluster  string    `json:"cluster"`
	From     string    `json:"from"`     // the node that sends it
	Alarm    string    `json:"alarm"`    // its name
	Severity string    `json:"severity"` // tell, wake
	Node     string    `json:"node"`     // whose it is; "" for the group's
	About    string    `json:"about"`    // which of its kind
	Detail   string    `json:"detail"`   // what is wrong, in a sentence
	Advice   string    `json:"advice"`
	Means    string    `json:"means"` // of the runbook
	Do       string    `json:"do"`
	Since    time.Time `json:"since"`
	By       string    `json:"by"`    // who acknowledged it
	Times    int       `json:"times"` // the how many-th message about it this is
	Text     string    `json:"text"`  // all of it that a short message needs
}

func (m *Message) withText() {
	head := map[string]string{Begins: "ALARM", Repeats: "ALARM (not acknowledged)", Over: "Over",
		Acknowledged: "Acknowledged by " + m.By}[m.Event]
	m.Text = fmt.Sprintf("%s: %s: %s %s", head, m.Cluster, m.Alarm, m.Severity)
	if m.Node != "" {
		m.Text += ", node " + m.Node
	}
	m.Text += ": " + m.Detail
	if m.Advice != "" && (m.Event == Begins || m.Event == Repeats) {
		m.Text += " " + m.Advice
	}
}

// DefaultBody is the template of a receiver that has none: the whole message in JSON.
const DefaultBody = `{{json .}}`

// functions are all that templates may call beside comparisons: none makes much of little.
var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"upper": strings.ToUpper,
}

var callable = []string{"json", "upper", "eq", "ne", "and", "or", "not", "lt", "gt", "urlquery", "html"}

// Body is a template that was checked.
type Body struct {
	t    *template.Template
	json bool
}

// ParseBody reads a template, and tries it on messages of every kind, with text in them that
// breaks what is not quoted. isJSON: what comes of it must be JSON.
func ParseBody(text string, isJSON bool) (*Body, error) {
	if len(text) > MaxTemplateBytes {
		return nil, fmt.Errorf("it has %d bytes; it may have %d", len(text), MaxTemplateBytes)
	}
	t, err := template.New("body").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("it can't define other templates")
	}
	if err := allowed(t.Root); err != nil {
		return nil, err
	}
	b := &Body{t, isJSON}
	for _, event := range []string{Begins, Repeats, Acknowledged, Over} {
		for _, k := range engine.AlarmKinds() {
			m := Message{Event: event, Cluster: "shop", From: "a1", Alarm: string(k.Name), Severity: string(k.Severity), Node: `a"1`,
				About: "a\nb", Detail: "\"It\"\tbroke\\.", Advice: "Mend \"it\".", Means: k.Means, Do: k.Do,
				By: "ann", Times: 1}
			m.withText()
			if _, err := b.Write(&m); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// allowed refuses what could run for long: loops, and functions that make much of little.
func allowed(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, x := range n.Nodes {
			if err := allowed(x); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return errors.Join(allowed(n.Pipe), allowed(n.List), allowed(n.ElseList))
	case *parse.WithNode:
		return errors.Join(allowed(n.Pipe), allowed(n.List), allowed(n.ElseList))
	case *parse.ActionNode:
		return allowed(n.Pipe)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				if err := allowed(a); err != nil {
					return err
				}
			}
		}
	case *parse.IdentifierNode:
		if !slices.Contains(callable, n.Ident) {
			return fmt.Errorf("it calls %s; it may call %s", n.Ident, strings.Join(callable, ", "))
		}
	case *parse.RangeNode, *parse.TemplateNode:
		return errors.New("it has range or template; a message has no lists, and is one")
	}
	return nil
}

// limited takes so many bytes.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > MaxBodyBytes {
		return 0, fmt.Errorf("the body would have over %d bytes", MaxBodyBytes)
	}
	return l.Buffer.Write(p)
}

// Write makes the body of a message.
func (b *Body) Write(m *Message) ([]byte, error) {
	var to limited
	if err := b.t.Execute(&to, m); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if b.json && !json.Valid(to.Bytes()) {
		return nil, fmt.Errorf("what comes of it is no JSON, such as of an alarm with quotation marks in its text; "+
			"write {{json .Text}} without quotation marks around it: %.200s", to.Bytes())
	}
	return to.Bytes(), nil
}
