package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
)

// maxDepth is how deep lists and keys may lie in each other: twice what a plan needs.
const maxDepth = 16

// Node is a value in the file: where it stands and what it is called.
type Node struct {
	*yaml.Node
	Path   string
	Fields []Field // of a mapping, in the order of the file
	Items  []*Node // of a list
	// unread: it is no value that a plan can have, whatever the schema says.
	unread bool
	// Wrong: a problem of it is known; nobody asks what it means any more.
	Wrong bool
}

// Field is a key of a mapping, and what it has.
type Field struct {
	Name  string
	Key   *yaml.Node
	Value *Node
}

// Get gives the value of a key, or nil.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return n.Fields[i].Value
		}
	}
	return nil
}

// List gives the mappings in the list of a key: all that a plan has in lists.
func (n *Node) List(name string) []*Node {
	l := n.Get(name)
	if l == nil {
		return nil
	}
	mappings := make([]*Node, 0, len(l.Items))
	for _, item := range l.Items {
		if item.Kind == yaml.MappingNode {
			mappings = append(mappings, item)
		}
	}
	return mappings
}

// Text gives a scalar as it is written, or "" if there is none to rely on.
func (n *Node) Text() string {
	if !n.Usable() {
		return ""
	}
	return n.Value
}

// Usable reports whether n is a scalar whose text can be relied on.
func (n *Node) Usable() bool {
	return n != nil && !n.Wrong && !n.unread && n.Kind == yaml.ScalarNode
}

// EachNode calls do with n and all that lies below it.
func (n *Node) EachNode(do func(*Node)) {
	do(n)
	for i := range n.Fields {
		n.Fields[i].Value.EachNode(do)
	}
	for _, item := range n.Items {
		item.EachNode(do)
	}
}

// Parse turns the file into nodes, or reports why it can't and gives nil.
func (r *Reader) Parse(data []byte) *Node {
	if len(data) > MaxFileBytes {
		r.ProblemAt("", 0, 0, "the file has %d bytes, which are over %d; split it into several, by sale", len(data),
			MaxFileBytes)
		return nil
	}
	if count := separators(data); count > maxSeparators {
		r.ProblemAt("", 0, 0, "the file has too many values; split it into several, by sale")
		return nil
	}
	if at, what := unreadable(data); at >= 0 {
		line := 1 + bytes.Count(data[:at], []byte("\n"))
		column := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:at], '\n')+1:at])
		r.ProblemAt("", line, column, "%s", what)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF), err == nil && document.Content[0].ShortTag() == "!!null":
		name, is := r.kind()
		r.ProblemAt("", 1, 1, "the file is empty; a %s %s", name, is)
		return nil
	case err != nil:
		r.notYAML(data, err)
		return nil
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.notYAML(data, err)
		return nil
	default:
		r.ProblemAt("", second.Line, second.Column, "a second document begins here; a plan file has one, so take out "+
			"the ---")
		return nil
	}
	return r.tree(document.Content[0], "", 1)
}

func (r *Reader) notYAML(data []byte, err error) {
	line, column, said := NotYAML(data, err)
	r.ProblemAt("", line, column, "%s", said)
}

// maxSeparators bounds the values of a file, before any of them costs a hundred
// times its length in memory. It is beyond what engine.MaxPlanBytes lets a plan
// have: some 50,000 listings of six keys.
const maxSeparators = 750_000

// separators counts what has to stand between values, so there are no more values
// than a few times as many.
func separators(data []byte) int {
	count := 0
	for _, separator := range []string{",", ":", "[", "{", "- ", "-\n", "? "} {
		count += bytes.Count(data, []byte(separator))
	}
	return count
}

// unreadable gives the place of the first byte that is not text, or -1.
func unreadable(data []byte) (at int, what string) {
	for at < len(data) {
		c, size := utf8.DecodeRune(data[at:])
		switch {
		case c == utf8.RuneError && size <= 1:
			return at, "this is not UTF-8; save the file as UTF-8 text"
		case c < ' ' && c != '\n' && c != '\r' && c != '\t', c == 0x7f:
			return at, "a control character; a plan is plain text"
		}
		at += size
	}
	return -1, ""
}

// searchBytes bounds the files in which the line of a syntax error is searched for.
const searchBytes = 256 << 10

// NotYAML says where and why data, which the parser refused with err, is not YAML. The
// parser names the line where what it could not finish begins, which may be far above
// the mistake; the mistake is on the line without which the same complaint does not come.
func NotYAML(data []byte, err error) (line, column int, said string) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line = 1
	if rest, found := strings.CutPrefix(message, "line "); found {
		number, said, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, message = n, said
		}
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(data) <= searchBytes {
		line = wrongAt(lines)
		if at, column, c := culprit(lines, line); c != 0 {
			return at, column, misread(c)
		}
	}
	line = min(max(line, 1), len(lines))
	text := lines[line-1]
	indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	if tab := bytes.IndexByte(indent, '\t'); tab >= 0 {
		return line, tab + 1, "a tab; YAML is indented with spaces"
	}
	return line, utf8.RuneCount(indent) + 1, "not YAML: " + inPlainWords(message)
}

// inPlainWords says the parser's complaints about the commonest mistakes in terms
// of the file; the others stay as they are.
func inPlainWords(complaint string) string {
	switch {
	case strings.HasPrefix(complaint, "did not find expected key"),
		strings.HasPrefix(complaint, "did not find expected '-' indicator"):
		return "the indentation does not fit the lines above"
	case strings.HasPrefix(complaint, "did not find expected ',' or"):
		return "a comma is missing, or a brace or bracket is not closed"
	case strings.HasPrefix(complaint, "mapping values are not allowed"):
		return "no \": \" is allowed here; put a text that has one in quotes, and look at the indentation"
	case strings.HasPrefix(complaint, "found unexpected end of stream"):
		return "a quote is not closed"
	case strings.HasPrefix(complaint, "unknown anchor"):
		return aliasRefused
	}
	return Clip(complaint)
}

// wrongAt gives the line, from 1, without which what the parser complains of does not
// come; beyond the last one if it complains of nothing.
func wrongAt(lines [][]byte) int {
	first := complaint(lines)
	if errors.Is(first, io.EOF) {
		return len(lines) + 1
	}
	return 1 + sort.Search(len(lines)-1, func(n int) bool { return complaint(lines[:n+1]).Error() == first.Error() })
}

// complaint is what ends reading the lines: io.EOF if nothing is wrong with them.
func complaint(lines [][]byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines, nil)))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return err
		}
	}
}

const aliasRefused = "anchors and aliases (&name, *name, <<) are not read in a plan; write it out"

// tree gives nodes their paths, and refuses what no plan has.
func (r *Reader) tree(y *yaml.Node, path string, depth int) *Node {
	n := &Node{Node: y, Path: path}
	refuse := func(format string, args ...any) *Node {
		n.unread = true
		r.Problem(n, format, args...)
		return n
	}
	if depth > maxDepth {
		return refuse("lies deeper than %d levels; no plan is so deep", maxDepth)
	}
	switch y.Kind {
	case yaml.AliasNode:
		return refuse(aliasRefused)
	case yaml.MappingNode:
		if y.ShortTag() != "!!map" {
			return refuse("the tag %s is not read in a plan; take it out", Clip(y.Tag))
		}
		r.mapping(n, depth)
	case yaml.SequenceNode:
		if y.ShortTag() != "!!seq" {
			return refuse("the tag %s is not read in a plan; take it out", Clip(y.Tag))
		}
		for i, item := range y.Content {
			n.Items = append(n.Items, r.tree(item, path+"["+nameOf(item, i)+"]", depth+1))
		}
	case yaml.ScalarNode:
		switch y.ShortTag() {
		case "!!str", "!!timestamp", "!!bool", "!!null":
		case "!!int":
			if !plainInteger.MatchString(y.Value) {
				return refuse("%s: write the number in plain decimal digits, without a sign +, leading zeros, "+
					"underscores or a prefix", Clip(y.Value))
			}
		case "!!float":
			if f, err := strconv.ParseFloat(y.Value, 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
				return refuse("%s is not a number that a plan can have", Clip(y.Value))
			}
		default:
			return refuse("the tag %s is not read in a plan; take it out", Clip(y.Tag))
		}
	}
	return n
}

// plainInteger is what every reader of YAML takes for the same number: 010, for
// one, is eight to some and ten to others.
var plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,19})$`)

func (r *Reader) mapping(n *Node, depth int) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.ProblemAt(n.Path, key.Line, key.Column, "a key is a single word here")
			continue
		case key.ShortTag() == "!!merge":
			r.ProblemAt(n.Path, key.Line, key.Column, aliasRefused)
			continue
		}
		path := join(n.Path, key.Value)
		if before := first[key.Value]; before != nil {
			r.ProblemAt(path, key.Line, key.Column, "the key is there twice; first in line %d", before.Line)
			continue
		}
		first[key.Value] = key
		n.Fields = append(n.Fields, Field{key.Value, key, r.tree(value, path, depth+1)})
	}
}

// nameOf names an item of a list by its id, as the engine does, else by its index.
func nameOf(item *yaml.Node, index int) string {
	if item.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(item.Content); i += 2 {
			key, value := item.Content[i], item.Content[i+1]
			if (key.Value == "id" || key.Value == "sku") && value.Kind == yaml.ScalarNode &&
				engine.ValidID(value.Value) {
				return value.Value
			}
		}
	}
	return strconv.Itoa(index)
}

func join(path, key string) string {
	if !engine.ValidID(key) {
		key = strconv.Quote(Clip(key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Clip shortens what a file says for a message, and takes out what would steer a
// terminal.
func Clip(s string) string {
	const most = 60
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return utf8.RuneError
		}
		return c
	}, s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// json gives n as the schema's validator wants it. What is unread is nil: its
// problem is known.
func (n *Node) json() any {
	switch {
	case n.unread:
		return nil
	case n.Kind == yaml.MappingNode:
		m := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			m[f.Name] = f.Value.json()
		}
		return m
	case n.Kind == yaml.SequenceNode:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = item.json()
		}
		return l
	}
	switch n.ShortTag() {
	case "!!int":
		return json.Number(n.Value)
	case "!!float": // not as json.Number: the exponent could be any size
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return nil
		}
		return f
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	}
	return n.Value
}
