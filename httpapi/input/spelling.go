package input

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/valyala/fastjson"
)

// encoding/json takes a member by a name that differs in case, and the last of two.
// Who looked at the text before may have read another one: so neither is taken.

var parsers fastjson.ParserPool

// misspelt says which member of text, valid JSON that was read into a t, is there
// twice, or has another name's letters in another case; "" if none.
func misspelt(text []byte, t reflect.Type) (wrong string) {
	p := parsers.Get()
	defer parsers.Put(p)
	v, err := p.ParseBytes(text)
	if err != nil {
		return "it goes too deep"
	}
	return misspeltIn(v, t)
}

func misspeltIn(v *fastjson.Value, t reflect.Type) (wrong string) {
	t = pointee(t)
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeArray:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return ""
		}
		for _, one := range v.GetArray() {
			if wrong = misspeltIn(one, t.Elem()); wrong != "" {
				return wrong
			}
		}
	case fastjson.TypeObject:
		known := membersOf(t)
		seen := map[string]bool{}
		v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			name := string(key)
			of, is := known[name]
			if !is && t.Kind() == reflect.Map {
				of, is = t.Elem(), true
			}
			switch {
			case wrong != "":
			case is && seen[name]:
				wrong = fmt.Sprintf("the member %q is there twice", name)
			case is:
				seen[name] = true
				wrong = misspeltIn(v, of)
			default:
				for right := range known {
					if strings.EqualFold(right, name) {
						wrong = fmt.Sprintf("the member %q must be written %q", name, right)
					}
				}
			}
		})
	}
	return wrong
}

// structs are the members of each type of struct that was read into.
var structs sync.Map // of reflect.Type to map[string]reflect.Type

// membersOf gives the types of a struct's members by their names.
func membersOf(t reflect.Type) map[string]reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := structs.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	members := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			for name, of := range membersOf(pointee(f.Type)) {
				if _, nearer := members[name]; !nearer {
					members[name] = of
				}
			}
		case f.IsExported() && name != "-":
			members[cmp.Or(name, f.Name)] = f.Type
		}
	}
	structs.Store(t, members)
	return members
}

func pointee(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// inJSON is the path of a member as encoding/json tells it, without the names of
// embedded structs: they stand in no text.
func inJSON(path string, t reflect.Type) string {
	var names []string
	for name := range strings.SplitSeq(path, ".") {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if of, is := membersOf(t)[name]; is {
			t = of
		} else if t.Kind() == reflect.Struct {
			continue
		}
		names = append(names, name)
	}
	return strings.Join(names, ".")
}
