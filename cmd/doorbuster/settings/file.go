package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"doorbuster/httpapi/plan/tree"
)

// file takes the values of a file. They are read as text, so that each has to be written
// as for its flag: no 75 becomes 75 nanoseconds, and no 7.9 becomes 7.
func (r *reading) file(t *Table, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	var doc, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	err = documents.Decode(&doc)
	if err == nil {
		err = documents.Decode(&second)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		line, column, said := tree.NotYAML(data, err)
		return fmt.Errorf("%s:%d:%d: %s", path, line, column, said)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	d := document{r, path, map[string]int{}}
	if second.Line > 0 {
		d.bad(&second, "config", "a second document begins here; a file has one, so take out the ---")
	}
	if root := doc.Content[0]; root.Kind != yaml.MappingNode {
		d.bad(root, "config", "it must be a list of settings, \"key: value\"")
	} else {
		d.section(t, "", "", root)
	}
	return nil
}

// document is a file that is being read.
type document struct {
	*reading
	path string
	seen map[string]int // lines by flat key
}

// at is the origin of what is not a value.
func (d document) at(node *yaml.Node) origin {
	return origin{place: fmt.Sprintf("%s:%d: ", d.path, node.Line)}
}

// as is the origin of a value that is called shown there.
func (d document) as(node *yaml.Node, shown string) origin {
	from := d.at(node)
	return origin{from.place, from.place + shown}
}

func (d document) bad(node *yaml.Node, key, format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf("%s%s: "+format, append([]any{d.at(node).place, key}, args...)...))
}

// section reads a part of the file whose keys t has below under; outer is where t itself
// stands in the file.
func (d document) section(t *Table, outer, under string, section *yaml.Node) {
	for i := 0; i+1 < len(section.Content); i += 2 {
		name, value := section.Content[i], section.Content[i+1]
		key := under + name.Value
		shown := outer + key
		if line := d.seen[flat(shown)]; line != 0 {
			d.bad(name, shown, "set in line %d already", line)
		}
		d.seen[flat(shown)] = name.Line
		is := slices.IndexFunc(t.Settings, func(s *Setting) bool { return s.flat() == flat(key) })
		switch known := t.below(key + "."); {
		case is >= 0:
			d.value(t.Settings[is], outer, shown, value)
		case len(known) == 0:
			d.bad(name, shown, "unknown key; known are %s", strings.Join(t.below(under), ", "))
		case value.Kind != yaml.MappingNode:
			d.bad(value, shown, "it must be a section, \"key: value\"")
		default:
			d.from[shown] = d.at(name)
			d.section(t, outer, key+".", value)
		}
	}
}

// below gives the names that may stand below a key, sorted.
func (t *Table) below(under string) (names []string) {
	for _, s := range t.Settings {
		if rest, found := strings.CutPrefix(s.Key, under); found {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// value takes a setting's value.
func (d document) value(s *Setting, outer, shown string, value *yaml.Node) {
	single := func(v *yaml.Node) bool { return v.Kind == yaml.ScalarNode }
	switch {
	case s.items != nil:
		d.items(s, shown, value)
	case single(value) && value.ShortTag() == "!!null": // "key:" leaves it as it is
	case single(value):
		d.take(s, outer+s.Key, value.Value, d.as(value, shown))
	case s.value.Type() != "strings":
		d.bad(value, shown, "it takes a single value")
	case value.Kind != yaml.SequenceNode || !all(value.Content, single):
		d.bad(value, shown, "it takes a list of single values, such as [a, b]")
	default:
		var texts []string
		for _, v := range value.Content {
			texts = append(texts, v.Value)
		}
		d.take(s, outer+s.Key, strings.Join(texts, ","), d.as(value, shown))
	}
}

func all(nodes []*yaml.Node, is func(*yaml.Node) bool) bool {
	return !slices.ContainsFunc(nodes, func(n *yaml.Node) bool { return !is(n) })
}

// items reads a list whose items have settings of their own.
func (d document) items(s *Setting, shown string, list *yaml.Node) {
	if list.Kind != yaml.SequenceNode {
		d.bad(list, shown, "it must be a list, each like %s", s.like)
		return
	}
	d.from[s.Key] = d.at(list)
	kinds := make([]string, len(list.Content))
	for i, item := range list.Content {
		kinds[i] = kindOf(item)
	}
	for i, t := range s.items(kinds) {
		for _, s := range t.Settings {
			s.reset()
		}
		item, name := list.Content[i], fmt.Sprintf("%s[%d]", shown, i)
		d.from[name] = d.at(item)
		wrong := ""
		switch {
		case item.Kind != yaml.MappingNode:
			wrong = "it must be like " + s.like
		case s.kinds != nil && !slices.Contains(s.kinds, kinds[i]):
			wrong = fmt.Sprintf("its kind is %q, which is none of %s", kinds[i], strings.Join(s.kinds, ", "))
		}
		if wrong != "" {
			d.bad(item, name, "%s", wrong)
			d.wrong[name] = true
			for _, s := range t.Settings { // nothing can be said of the rest
				s.check = func() error { return nil }
			}
			continue
		}
		d.section(t, name+".", "", item)
	}
}

// kindOf gives the value of an item's key "kind", "" without.
func kindOf(item *yaml.Node) string {
	for i := 0; item.Kind == yaml.MappingNode && i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == "kind" && item.Content[i+1].Kind == yaml.ScalarNode {
			return item.Content[i+1].Value
		}
	}
	return ""
}
