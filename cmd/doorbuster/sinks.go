package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"doorbuster/actors/backoffice"
	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink"
)

// SinkConfig is one of the sinks that what is committed flows out to.
type SinkConfig struct {
	Name, Kind string
	Events     []string // kinds of events that it is handed; none: all that change something
	Of         sinkKind // the settings of its kind
}

// sinkKind is what one kind of sink is configured by. Each kind stands in a file of its own
// and in sinkKinds.
type sinkKind interface {
	// add puts the kind's settings into the table of an item of the list.
	add(t *settings.Table)
	// agree reports what the settings don't agree on, each line behind the key it is about.
	agree(c *Config) error
	// open makes the sink, which connects to nothing yet. Files are read here; the rooms of
	// the node are not open yet.
	open(n *node, m sinks.Means) (sinks.Sink, error)
}

// sinkKinds has the kinds of sinks by name.
var sinkKinds = map[string]func() sinkKind{
	"webhook": func() sinkKind { return &webhookConfig{} },
	"nats":    func() sinkKind { return &natsConfig{} },
	"kafka":   func() sinkKind { return &kafkaConfig{} },

	string(sqlsink.Postgres): func() sinkKind { return &sqlConfig{kind: sqlsink.Postgres} },
	string(sqlsink.MySQL):    func() sinkKind { return &sqlConfig{kind: sqlsink.MySQL} },
}

func (c *Config) addSinks(t *settings.Table) {
	t.FileTopic("Sinks")
	settings.AddKinds(t, &c.Sinks, "sinks", "{name: shop, kind: KIND, …}", settings.Kinds[SinkConfig]{
		Names: slices.Sorted(maps.Keys(sinkKinds)),
		Item: func(kind string, s *SinkConfig) *settings.Table {
			t := &settings.Table{}
			settings.Add(t, &s.Name, "name", "", "the sink's `id`: it is known by it as long as it lives (required)",
				id)
			settings.Add(t, &s.Kind, "kind", "", "`"+kind+"` (required)")
			settings.Add(t, &s.Events, "events", nil, "`kinds` of events that it is handed, such as [order_paid, "+
				"hold_released]; all that change something if not given",
				checkedBy("", func(names []string) error { _, err := parseEvents(names); return err }))
			if of := sinkKinds[kind]; of != nil {
				s.Of = of()
				s.Of.add(t)
			}
			return t
		}}, "where committed changes flow to, the same list on all nodes: see docs/sinks.md")
}

// agreeOnSinks is agree for the sinks.
func (c *Config) agreeOnSinks() error {
	var errs []error
	names := map[string]int{}
	if len(c.Sinks) > engine.MaxSinks {
		errs = append(errs, fmt.Errorf("sinks: there are %d of them; it may be %d", len(c.Sinks), engine.MaxSinks))
	}
	for i, s := range c.Sinks {
		key := fmt.Sprintf("sinks[%d]", i)
		if first, again := names[s.Name]; again && s.Name != "" {
			errs = append(errs, fmt.Errorf("%s.name: sinks[%d] is called %q, too", key, first, s.Name))
		}
		names[s.Name] = i
		if s.Of == nil {
			continue
		}
		if err := s.Of.agree(c); err != nil {
			errs = append(errs, settings.Under(key+".", err))
		}
	}
	return errors.Join(errs...)
}

// makeSinks makes the sinks that are configured, and what feeds them.
func (n *node) makeSinks() (err error) {
	cfg := sinks.Config{Trail: trail{n}, Shop: n.office, Now: n.now, Logger: n.logger}
	for _, s := range n.cfg.Sinks {
		fed := sinks.Fed{Name: s.Name, Kind: s.Kind}
		if fed.Events, err = parseEvents(s.Events); err != nil {
			return fmt.Errorf("sink %s: %w", s.Name, err)
		}
		cfg.Sinks = append(cfg.Sinks, fed)
	}
	if n.sinks, err = sinks.New(cfg); err != nil {
		return err
	}
	for _, s := range n.cfg.Sinks {
		made, err := s.Of.open(n, n.sinks.Means(s.Name))
		if err != nil {
			return fmt.Errorf("sink %s: %w", s.Name, err)
		}
		n.sinks.Give(s.Name, made)
	}
	n.metrics.MustRegister(n.sinks.Collectors()...)
	return nil
}

// sinkRoom shows the sinks to the operations API.
type sinkRoom struct {
	*backoffice.Office
	runner *sinks.Runner
}

func (r sinkRoom) SinkStatus() []sinks.Status { return r.runner.Status() }

// parseEvents reads which kinds of events a sink is handed; nil: all that sinks.Tells.
func parseEvents(names []string) (kinds []engine.EventKind, err error) {
	for _, name := range names {
		kind, known := engine.ParseEventKind(name)
		if !known || !sinks.Tells(kind) {
			return nil, fmt.Errorf("%q is no kind of events that sinks are handed; those are %s", name,
				strings.Join(toldEvents(), ", "))
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// toldEvents are the kinds of events that sinks are handed.
func toldEvents() (names []string) {
	for kind := range engine.EventKind(engine.EventKinds) {
		if sinks.Tells(kind) {
			names = append(names, kind.Word())
		}
	}
	return names
}
