package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// A route says what may be asked after its path by a struct, each field a
// parameter. The tag query names it; as says what a string is: id, order, shopper,
// cursor, note, or else any text; oneof lists its words; usual, least and most
// bound a number. A name that the struct lacks, one that is there twice, and a
// value that does not do are refused before the route hears of the request: who
// misspelt a filter would take all orders for the ones that they looked for, who
// misspelt dry_run would apply a plan.
type query []param

// param is one parameter.
type param struct {
	name  string
	field []int
	usual string // what it is where it is not given; "" is the zero value
	set   func(field reflect.Value, given string) (wrong string)
}

// asker is a field that reads its value itself.
type asker interface {
	ask(name, given string) (wrong string)
}

// queryOf reads the parameters off the struct Q. A tag that can't be is a fault of
// ours, and panics.
func queryOf[Q any]() query {
	var known query
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Q]()) {
		if name := field.Tag.Get("query"); name != "" {
			known = append(known, param{name, field.Index, field.Tag.Get("usual"), setterOf(name, field)})
		}
	}
	return known
}

func setterOf(name string, field reflect.StructField) func(reflect.Value, string) string {
	if reflect.PointerTo(field.Type).Implements(reflect.TypeFor[asker]()) {
		return func(v reflect.Value, given string) string { return v.Addr().Interface().(asker).ask(name, given) }
	}
	switch field.Type {
	case reflect.TypeFor[engine.Time]():
		return func(v reflect.Value, given string) string {
			t, err := input.Time(given)
			if err != nil || t.UnixMilli() <= 0 {
				return name + " must be " + input.TimeForm + "."
			}
			v.SetInt(int64(engine.TimeOf(t)))
			return ""
		}
	case reflect.TypeFor[engine.OrderState]():
		return func(v reflect.Value, given string) string {
			state, ok := engine.ParseOrderState(given)
			if !ok {
				return "There is no such state. Take one of held, paid, expired, cancelled, voided, refund_due, " +
					"refunded, shipped, received, completed, waiting, entered, left, passed."
			}
			v.SetUint(uint64(state))
			return ""
		}
	case reflect.TypeFor[engine.BargainState]():
		return func(v reflect.Value, given string) string {
			state, ok := engine.ParseBargainState(given)
			v.SetUint(uint64(state))
			return unless(ok && state != 0, "There is no such state. Take one of open, bought, expired, ended.")
		}
	}
	switch field.Type.Kind() {
	case reflect.Bool:
		return func(v reflect.Value, given string) string {
			if given != "true" && given != "false" {
				return name + " must be true or false."
			}
			v.SetBool(given == "true")
			return ""
		}
	case reflect.Int, reflect.Int64:
		least, most := numberOf(field.Tag.Get("least"), 1), numberOf(field.Tag.Get("most"), 1<<62)
		return func(v reflect.Value, given string) string {
			n, err := strconv.ParseInt(given, 10, 64)
			switch {
			case (err != nil || n < least || n > most) && most == 1<<62:
				return fmt.Sprintf("The %s must be a number of %d or more.", name, least)
			case err != nil || n < least || n > most:
				return fmt.Sprintf("The %s must be %d to %d.", name, least, most)
			}
			v.SetInt(n)
			return ""
		}
	case reflect.String:
		if words := field.Tag.Get("oneof"); words != "" {
			return func(v reflect.Value, given string) string {
				if !slices.Contains(strings.Fields(words), given) {
					return fmt.Sprintf("The %s must be %s.", name, listed(strings.Fields(words)))
				}
				v.SetString(given)
				return ""
			}
		}
		valid := textKinds[field.Tag.Get("as")]
		return func(v reflect.Value, given string) string {
			v.SetString(given)
			return valid(name, given)
		}
	}
	panic(fmt.Sprintf("a query can't have %s as a %s", name, field.Type))
}

func numberOf(tag string, without int64) int64 {
	if tag == "" {
		return without
	}
	n, err := strconv.ParseInt(tag, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// listed writes words as a person lists them.
func listed(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// maxPhoneBytes is as long as a receiver's phone number may be.
const maxPhoneBytes = 64

const foreignCursor = "The cursor is none that was given out."

// textKinds say what is wrong with a text of their kind, "" if nothing.
var textKinds = map[string]func(name, given string) string{
	"": func(string, string) string { return "" },
	"id": func(name, given string) string {
		return unless(engine.ValidID(given), "The "+name+" is no valid id.")
	},
	"order": func(name, given string) string {
		return unless(engine.ValidID(given), "The "+name+" is no order number.")
	},
	"shopper": func(name, given string) string {
		return unless(engine.ValidShopper(given), "The "+name+" is no valid id.")
	},
	"operator": func(name, given string) string {
		return unless(len(given) <= engine.MaxShopperBytes, "The "+name+" is no valid name.")
	},
	"cursor": func(_, given string) string { return unless(len(given) <= maxCursorBytes, foreignCursor) },
	"row": func(_, given string) string { // a cursor that is a number
		_, err := strconv.ParseUint(given, 10, 32)
		return unless(err == nil, foreignCursor)
	},
	"payment": func(_, given string) string {
		return unless(engine.ValidKey(given), fmt.Sprintf("A payment_id has 1 to %d printable ASCII characters and no "+
			"space.", engine.MaxKeyBytes))
	},
	"phone": func(_, given string) string {
		return unless(validText(given) && len(given) <= maxPhoneBytes, fmt.Sprintf("A phone number may have %d bytes.",
			maxPhoneBytes))
	},
	"note": func(_, given string) string { return wrongNote(given) },
	"name": func(_, given string) string {
		return unless(validText(given) && len(given) <= maxNameBytes, fmt.Sprintf("The name may have %d bytes of "+
			"text without control characters.", maxNameBytes))
	},
}

func unless(ok bool, wrong string) string {
	if ok {
		return ""
	}
	return wrong
}

// names gives the parameters as the description lists them.
func (known query) names() (names []string) {
	for _, p := range known {
		names = append(names, p.name)
	}
	return names
}

// read puts what stands after a path into the struct that known is of. wrong says
// what was asked that the route does not take, "" if nothing.
func (known query) read(raw string, into reflect.Value) (wrong string) {
	given, err := url.ParseQuery(raw)
	if err != nil {
		if errors.As(err, new(url.EscapeError)) {
			return "What follows the path is no query: it has a % without two hexadecimal digits behind it. Write " +
				"%25 for a %."
		}
		return "What follows the path is no query: parameters are set apart by &, not by ; (write %3B for one)."
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch isKnown := slices.Contains(known.names(), name); {
		case !isKnown && len(known) == 0:
			return "Nothing can be asked for here: " + strconv.Quote(clipped(name)) + " is not known."
		case !isKnown:
			return "There is no parameter " + strconv.Quote(clipped(name)) + " here. Take some of " +
				strings.Join(known.names(), ", ") + "."
		case len(given[name]) > 1:
			return "The parameter " + name + " is there more than once."
		case given[name][0] == "" && name == "cursor":
			delete(given, name) // the beginning, as loops over pages ask for it
		case given[name][0] == "":
			return "The parameter " + name + " has no value. Give it one, or leave it away."
		}
	}
	for _, p := range known {
		value, isGiven := given[p.name]
		if !isGiven && p.usual == "" {
			continue
		}
		if !isGiven {
			value = []string{p.usual}
		}
		if wrong := p.set(into.FieldByIndex(p.field), value[0]); wrong != "" {
			return wrong
		}
	}
	return ""
}

// askedPosition is a position of the trail that was asked for, if one was.
type askedPosition struct {
	engine.TrailPosition
	given bool
}

func (p *askedPosition) ask(name, given string) string {
	at, ok := parsePosition(given)
	p.TrailPosition, p.given = at, true
	return unless(ok, name+" must be a position of the trail: INDEX or INDEX.N, as events tell it.")
}

// askedLevel is a level of risk lists.
type askedLevel struct{ engine.Level }

func (l *askedLevel) ask(name, given string) string {
	level, ok := engine.ParseLevel(given)
	l.Level = level
	return unless(ok && level != engine.LevelNone, "The "+name+" must be watch, challenge or block.")
}
