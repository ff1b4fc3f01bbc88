package input

import (
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
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
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
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || name == "" && f.Anonymous {
			continue
		}
		if name == "" {
			name = f.Name
		}
		members[name] = f.Type
	}
	structs.Store(t, members)
	return members
}
