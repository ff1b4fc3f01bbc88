package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Sources are where values come from.
type Sources struct {
	File   string         // in YAML; "" for none
	Prefix string         // of variables
	Others []string       // variables with the prefix that are no settings, without it
	Flags  *pflag.FlagSet // AddFlags has been given them
}

// Load sets each value by the highest source that has it, and reports all that is wrong:
// what a source has and the table has not, values that are out of bounds, and what agree
// finds in the whole. agree begins each line of its error with a key.
func (t *Table) Load(from Sources, agree func() error) error {
	r := &reading{from: map[string]origin{}, values: map[*Setting]value{}, wrong: map[string]bool{}}
	for _, s := range t.Settings {
		s.reset()
	}
	if from.File != "" {
		if err := r.file(t, from.File); err != nil {
			return err
		}
	}
	r.environment(t, from)
	for _, s := range t.Settings {
		if f := from.Flags.Lookup(s.Flag()); f != nil && f.Changed && !s.FileOnly {
			r.take(s, s.Key, f.Value.String(), origin{name: "--" + f.Name})
		}
	}
	for _, s := range r.given {
		v := r.values[s]
		if err := s.value.Set(v.text); err != nil {
			r.problem(v.key + ": " + BadValue(s.value.Type(), v.text, err).Error())
			s.check = func() error { return nil }
			r.wrong[v.key] = true
		}
	}
	for _, err := range []error{t.Check(), agree()} {
		if err != nil {
			for problem := range strings.SplitSeq(err.Error(), "\n") {
				if key, _, _ := strings.Cut(problem, ": "); !r.wrong[key] {
					r.problem(problem)
				}
			}
		}
	}
	said := map[string]bool{}
	return errors.Join(slices.DeleteFunc(r.problems, func(problem error) bool {
		again := said[problem.Error()]
		said[problem.Error()] = true
		return again
	})...)
}

// reading is one call of Load.
type reading struct {
	given    []*Setting
	values   map[*Setting]value
	from     map[string]origin // by key; of sections, too
	wrong    map[string]bool   // keys whose values can't be read: what else is said of them is of the default
	problems []error
}

// value is what a source has for a setting, with the key by which problems name it.
type value struct{ key, text string }

// origin is where a value was given: place, if it is in a file, begins whatever is said
// about it and about what is missing from it; name stands for its key.
type origin struct{ place, name string }

func (r *reading) take(s *Setting, key, text string, from origin) {
	if _, again := r.values[s]; !again {
		r.given = append(r.given, s)
	}
	r.values[s], r.from[key] = value{key, text}, from
}

// problem notes what begins with the key it is about, with where that was given, or the
// section it belongs to.
func (r *reading) problem(about string) {
	key, said, _ := strings.Cut(about, ": ")
	from, found := r.from[key]
	if found && from.name != "" {
		r.problems = append(r.problems, errors.New(from.name+": "+said))
		return
	}
	first, _, _ := strings.Cut(key, ",")
	for at := first; at != "" && !found; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		from, found = r.from[at]
	}
	r.problems = append(r.problems, errors.New(from.place+about))
}

// orchestrators is what Kubernetes sets for a Service called doorbuster, or doorbuster-…
var orchestrators = regexp.MustCompile(
	`_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_[A-Z]+)?=\w+://|_PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR)=`)

// environment takes the values of variables, and refuses those that mean nothing. One
// that is empty is not set: that is how compose files and the like leave out what they
// have a variable for.
func (r *reading) environment(t *Table, from Sources) {
	near := cobra.Command{SuggestionsMinimumDistance: 3}
	known, sections := map[string]bool{}, map[string]bool{}
	for _, s := range t.Settings {
		name := s.Variable(from.Prefix)
		if s.FileOnly {
			section, _, _ := strings.Cut(name[len(from.Prefix):], "_")
			sections[section] = true
			continue
		}
		known[name] = true
		near.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
		if value := os.Getenv(name); value != "" {
			r.take(s, s.Key, value, origin{name: name})
		}
	}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		key, ours := strings.CutPrefix(name, from.Prefix)
		if !ours || value == "" || known[name] || slices.Contains(from.Others, key) || orchestrators.MatchString(pair) {
			continue
		}
		hint := "'doorbuster serve --help' lists them"
		section, _, _ := strings.Cut(key, "_")
		if names := near.SuggestionsFor(name); len(names) > 0 {
			hint = "did you mean " + strings.Join(names, ", ") + "?"
		} else if sections[section] {
			hint = "the " + strings.ToLower(section) + "'s stand in the --config file only"
		}
		r.problems = append(r.problems, fmt.Errorf("environment: %s is no setting; %s", name, hint))
	}
}

// BadValue says in plain words that text can't be of a pflag type; err is what the type
// itself says of it.
func BadValue(kind, text string, err error) error {
	form := ""
	switch {
	case strings.HasPrefix(kind, "int"):
		form = "a whole number"
	case strings.HasPrefix(kind, "uint"):
		form = "a whole number from 0 on"
	case kind == "float64":
		form = "a number such as 1.5"
	case kind == "bool":
		form = "true or false"
	case kind == "duration":
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return fmt.Errorf("%q has no unit; give one, such as %ss", text, text)
		}
		form = "a duration such as 1.5s or 10m"
	default:
		return fmt.Errorf("%q can't be: %w", text, err)
	}
	return fmt.Errorf("%q is not %s", text, form)
}
