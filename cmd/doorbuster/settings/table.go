// Package settings is the machinery of a configuration. Each setting stands once, in
// a Table: from its line come the flag, the variable, the key in a file, the default,
// the bounds that are checked, and the entry in the reference.
//
// From the lowest to the highest, a value comes from the default, the file, the
// environment, a flag. Load reports all problems at once, each with where the value
// was given: a line of the file, a variable, a flag.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// A Setting is a line of a Table.
type Setting struct {
	Key      string // in a file: rate_limit.shopper.burst, or with "_" for each dot
	Topic    string // the heading in the reference
	Preset   string // the default, as text
	Bounds   string // which values it takes, for people; "" if its type says it
	Help     string // with its kind of value in backquotes, as pflag has it
	FileOnly bool   // there is no flag and no variable of it

	value pflag.Value
	reset func()       // to the default
	check func() error // of the value as it is
	items func(kinds []string) []*Table
	kinds []string // that items of the list can be of; nil if all have the same settings
	like  string   // an item of the list, for people
}

// Flag is the setting's flag, without dashes before it.
func (s *Setting) Flag() string { return strings.ReplaceAll(s.flat(), "_", "-") }

// Variable is the setting's environment variable.
func (s *Setting) Variable(prefix string) string { return prefix + strings.ToUpper(s.flat()) }

func (s *Setting) flat() string { return flat(s.Key) }

func flat(key string) string { return strings.ReplaceAll(key, ".", "_") }

// A Table has all settings. Its values are the variables that Add was given.
type Table struct {
	Settings []*Setting
	topic    string
	fileOnly bool
}

// Topic begins a part of the table.
func (t *Table) Topic(name string) { t.topic, t.fileOnly = name, false }

// FileTopic begins a part whose settings have neither flags nor variables.
func (t *Table) FileTopic(name string) { t.topic, t.fileOnly = name, true }

// A Check says which values a setting takes.
type Check[T any] struct {
	Says string
	Of   func(T) error
}

// Between takes what is least or most, or between them.
func Between[T cmp.Ordered](least, most T) Check[T] {
	return Check[T]{text(least) + " to " + text(most), func(v T) error {
		if !(v >= least && v <= most) { // what is not a number, too
			return fmt.Errorf("%v is not between %s and %s", v, text(least), text(most))
		}
		return nil
	}}
}

// AtLeast has no upper bound.
func AtLeast[T cmp.Ordered](least T) Check[T] {
	return Check[T]{"from " + text(least), func(v T) error {
		if v < least {
			return fmt.Errorf("%v is under %s", v, text(least))
		}
		return nil
	}}
}

// OneOf takes these words alone.
func OneOf(words ...string) Check[string] {
	all := strings.Join(words, ", ")
	return Check[string]{all, func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("%q is none of %s", v, all)
		}
		return nil
	}}
}

// Elsewhere says which values a setting takes that are checked when the whole is put together.
func Elsewhere[T any](says string) Check[T] {
	return Check[T]{says, func(T) error { return nil }}
}

// Or also takes one value that is out of bounds.
func (c Check[T]) Or(other T) Check[T] {
	or := text(other) + " or "
	if or == " or " {
		or = "nothing, or "
	}
	return Check[T]{or + c.Says, func(v T) error {
		if any(v) == any(other) {
			return nil
		}
		return c.Of(v)
	}}
}

// text is a value as people write it.
func text(v any) string {
	if d, ok := v.(time.Duration); ok {
		return Short(d)
	}
	return fmt.Sprint(v)
}

// Short is a duration without the units that are zero.
func Short(d time.Duration) string {
	s := d.String()
	if rest, cut := strings.CutSuffix(s, "m0s"); cut {
		s = rest + "m"
	}
	if rest, cut := strings.CutSuffix(s, "h0m"); cut {
		s = rest + "h"
	}
	return s
}

// Add puts a setting into the table, kept in *p, which stays as it is until Load.
func Add[T any](t *Table, p *T, key string, preset T, help string, checks ...Check[T]) {
	as := preset
	s := &Setting{Key: key, Topic: t.topic, Preset: bound(&as).String(), Help: help, FileOnly: t.fileOnly,
		value: bound(p)}
	s.reset = func() { *p = preset }
	for _, c := range checks {
		s.Bounds = cmp.Or(c.Says, s.Bounds)
	}
	s.check = func() error {
		for _, c := range checks {
			if err := c.Of(*p); err != nil {
				return err
			}
		}
		return nil
	}
	t.Settings = append(t.Settings, s)
}

// AddList puts a list into the table whose items have settings of their own; it stands
// in a file only. like is an item of it, for people. The settings' own checks are made,
// behind keys such as sinks[0].url.
func AddList[T any](t *Table, p *[]T, key, like string, item func(*T) *Table, help string) {
	s := addItems(t, p, key, func(_ string, x *T) *Table { return item(x) }, help)
	s.like, s.Bounds = like, "a list, as below"
}

// Kinds are the kinds that items of a list can be of, each with settings of its own.
type Kinds[T any] struct {
	Names []string
	Item  func(kind string, x *T) *Table
}

// AddKinds is AddList for items of several kinds. Which one an item is of stands at its key
// "kind", which Item adds, too.
func AddKinds[T any](t *Table, p *[]T, key, like string, kinds Kinds[T], help string) {
	s := addItems(t, p, key, kinds.Item, help)
	s.like, s.Bounds = like, "a list, of each kind as below"
	s.kinds = append([]string{}, kinds.Names...)
}

func addItems[T any](t *Table, p *[]T, key string, item func(kind string, x *T) *Table, help string) *Setting {
	var tables []*Table
	s := &Setting{Key: key, Topic: t.topic, Help: help, FileOnly: true,
		reset: func() { *p, tables = nil, nil },
		check: func() error {
			var errs []error
			for i, of := range tables {
				if err := of.Check(); err != nil {
					errs = append(errs, Under(fmt.Sprintf("%s[%d].", key, i), err))
				}
			}
			return errors.Join(errs...)
		},
		items: func(given []string) []*Table {
			*p, tables = make([]T, len(given)), nil
			for i, kind := range given {
				tables = append(tables, item(kind, &(*p)[i]))
			}
			return tables
		},
	}
	t.Settings = append(t.Settings, s)
	return s
}

// Items gives the settings of an item of a list, of each kind that there is; of the kind ""
// where all items have the same. None of any other setting.
func (s *Setting) Items() (kinds []string, tables []*Table) {
	if s.items == nil {
		return nil, nil
	}
	if kinds = s.kinds; kinds == nil {
		kinds = []string{""}
	}
	return kinds, s.items(kinds)
}

// Takes says which values the setting takes, for people: its bounds, or its kind of value.
func (s *Setting) Takes() string {
	if s.Bounds != "" || s.value == nil {
		return s.Bounds
	}
	kind, _ := pflag.UnquoteUsage(&pflag.Flag{Usage: s.Help, Value: s.value})
	return cmp.Or(kind, "true or false")
}

// bound reads and writes *p as text.
func bound(p any) pflag.Value {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	switch p := p.(type) {
	case *string:
		f.StringVar(p, "x", *p, "")
	case *bool:
		f.BoolVar(p, "x", *p, "")
	case *int:
		f.IntVar(p, "x", *p, "")
	case *int64:
		f.Int64Var(p, "x", *p, "")
	case *float64:
		f.Float64Var(p, "x", *p, "")
	case *time.Duration:
		f.DurationVar(p, "x", *p, "")
	case *[]string:
		return (*texts)(p)
	default:
		panic(fmt.Sprintf("BUG: no setting can be a %T", p))
	}
	return f.Lookup("x").Value
}

// texts are separated by commas.
type texts []string

func (l *texts) String() string { return strings.Join(*l, ",") }

func (*texts) Type() string { return "strings" }

func (l *texts) Set(s string) error {
	*l = nil
	if s == "" {
		return nil
	}
	for one := range strings.SplitSeq(s, ",") {
		*l = append(*l, strings.TrimSpace(one))
	}
	return nil
}

// given is texts as flags have them: each time the flag is said adds to the list.
type given struct {
	texts
	said bool
}

func (g *given) Set(s string) error {
	if g.said && s != "" {
		s = g.String() + "," + s
	}
	g.said = true
	return g.texts.Set(s)
}

// AddFlags declares each setting as a flag. Load takes their values from there.
func (t *Table) AddFlags(f *pflag.FlagSet) {
	for _, s := range t.Settings {
		if s.FileOnly {
			continue
		}
		flag := &pflag.Flag{Name: s.Flag(), Usage: s.Help, Value: s.value, DefValue: s.Preset}
		switch s.value.Type() {
		case "bool":
			flag.NoOptDefVal = "true"
		case "strings":
			flag.Value = &given{}
		}
		f.AddFlag(flag)
	}
}

// Check reports every value that is out of its bounds, each behind its key.
func (t *Table) Check() error {
	var errs []error
	for _, s := range t.Settings {
		if err := s.check(); err != nil && s.items != nil {
			errs = append(errs, err) // it has the items' keys
		} else if err != nil {
			errs = append(errs, behind(s.Key, err))
		}
	}
	return errors.Join(errs...)
}

// behind puts a key before each line of an error.
func behind(key string, err error) error {
	return errors.New(key + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+key+": "))
}

// Under puts the key of a section before each line of an error.
func Under(section string, err error) error {
	return errors.New(section + strings.ReplaceAll(err.Error(), "\n", "\n"+section))
}
