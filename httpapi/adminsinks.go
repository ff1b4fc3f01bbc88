package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/wire"
)

// Sinks is what the admin API shows of sinks, and has operators change. Safe for concurrent
// use.
type Sinks interface {
	// SinkStatus tells how the sinks are that are configured on this node.
	SinkStatus() []sinks.Status
	// Sinks gives what the group has noted of sinks, by name. Read only.
	Sinks() []*engine.SinkNote
	// SetSink notes something of a sink, committed. Errors as for Operator.
	SetSink(ctx context.Context, by engine.By, x engine.SinkChange, note string) error
}

// noSinks stands for them where there are none.
type noSinks struct{}

func (noSinks) SinkStatus() []sinks.Status { return nil }
func (noSinks) Sinks() []*engine.SinkNote  { return nil }
func (noSinks) SetSink(context.Context, engine.By, engine.SinkChange, string) error {
	return &engine.Refusal{Reason: engine.ReasonUnknown}
}

func sinkOf(s *sinks.Status, now time.Time) wire.Sink {
	j := wire.Sink{Name: s.Name, Kind: s.Kind, State: string(s.State), Position: s.At.String(), KeepsIt: s.Known,
		LagSeconds: s.Lag(now).Round(time.Millisecond).Seconds(), Paused: s.Note.Paused, Changes: s.Changes,
		Failures: s.Failures, DeadLetters: len(s.Note.Letters), LastError: s.Error}
	if !s.Failing.IsZero() {
		j.FailingSince, j.NextTryAt = milliseconds(engine.TimeOf(s.Failing)), milliseconds(engine.TimeOf(s.Next))
	}
	if s.State == sinks.StateGone {
		j.FirstKept = s.FirstKept.String()
	}
	return j
}

// allSinks gives how all sinks are: those configured, and those only noted.
func (s *AdminServer) allSinks() []wire.Sink {
	now, all := time.Now(), []wire.Sink{}
	for _, one := range s.sinks.SinkStatus() {
		all = append(all, sinkOf(&one, now))
	}
	for _, n := range s.sinks.Sinks() {
		if !slices.ContainsFunc(all, func(j wire.Sink) bool { return j.Name == n.Name }) {
			all = append(all, sinkOf(&sinks.Status{Name: n.Name, State: sinks.StateElsewhere, Note: n, At: n.At}, now))
		}
	}
	return all
}

func (s *AdminServer) listSinks(*http.Request) (wire.Sinks, error) {
	return wire.Sinks{Leader: s.cluster.Status().Leader, Sinks: s.allSinks()}, nil
}

// sinkNamed gives the sink that a request names.
func (s *AdminServer) sinkNamed(r *http.Request) (wire.Sink, error) {
	name := r.PathValue("sink")
	for _, j := range s.allSinks() {
		if j.Name == name {
			return j, nil
		}
	}
	return wire.Sink{}, refuse(notFound, fmt.Sprintf("No sink has the name %q. They stand in the configuration, under "+
		"sinks, and are listed at /admin/v1/sinks.", clipped(name)))
}

// steerSink makes the handler of a change that says nothing but its action.
func steerSink(action engine.SinkAction) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.Note) (wire.Sink, error) {
		return s.changeSink(r, engine.SinkChange{Action: action}, b.Note)
	})
}

// changeSink makes a change of the sink that a request names, and gives it as it is then.
// What was done already is done, whatever has become of the sink since.
func (s *AdminServer) changeSink(r *http.Request, x engine.SinkChange, note string) (wire.Sink, error) {
	done, err := s.operator.Done(r.Context(), byOf(r))
	if err != nil {
		return wire.Sink{}, err
	}
	j, err := s.sinkNamed(r)
	switch {
	case err != nil && !done:
		return j, err
	case x.Action == engine.SinkForget && j.Kind != "" && !done:
		return j, refuse(conflict, fmt.Sprintf("The sink %s is configured on this node; take it out of the "+
			"configuration of all nodes first.", j.Name))
	}
	x.Name = r.PathValue("sink")
	log := s.log.With("sink", x.Name, "action", x.Action.String(), "operator", operatorOf(r), "note", note)
	if err := s.sinks.SetSink(r.Context(), byOf(r), x, note); err != nil {
		log.Info("sink not changed", "error", err)
		var no *engine.Refusal
		if errors.As(err, &no) && no.Reason == engine.ReasonUnknown && x.Action == engine.SinkAgain {
			err = refuse(notFound, "One of them is no dead letter of the sink. They are listed at /admin/v1/sinks/"+
				x.Name+"/letters.")
		}
		return j, err
	}
	log.Info("sink changed", "from", x.To.String())
	if j, err = s.sinkNamed(r); err != nil { // nothing is known of it any more
		j = sinkOf(&sinks.Status{Name: x.Name, State: sinks.StateElsewhere, Note: &engine.SinkNote{}}, time.Now())
	}
	return j, nil
}

// replaySink has a sink go on from another position. Of one that was done already nothing is
// looked at: the trail may end elsewhere now.
func (s *AdminServer) replaySink(r *http.Request, b *wire.SinkReplay) (j wire.Sink, err error) {
	var to engine.TrailPosition
	done, err := s.operator.Done(r.Context(), byOf(r))
	if err == nil && !done {
		to, err = s.replayFrom(b)
	}
	if err != nil {
		return j, err
	}
	return s.changeSink(r, engine.SinkChange{Action: engine.SinkReplay, To: to}, b.Note.Note)
}

// replayFrom finds where a sink is to go on, and that the trail reaches there.
func (s *AdminServer) replayFrom(b *wire.SinkReplay) (p engine.TrailPosition, err error) {
	switch {
	case (b.From == "") == (b.Since == ""):
		return p, refuse(malformed, `Say where the sink goes on, by one of from, such as "4711" or "4711.0", and since, `+
			`such as "2026-09-20" or "2026-09-20T10:00:00Z".`)
	case b.From != "":
		at, ok := parsePosition(b.From)
		if !ok {
			return p, refuse(malformed, "from must be a position of the trail: INDEX or INDEX.N, as events tell it.")
		}
		p = at
	default:
		since, ok := dayOrMoment(b.Since)
		if !ok {
			return p, refuse(malformed, "since must be a day, such as 2026-09-20, or a moment in RFC 3339.")
		}
		if since > engine.TimeOf(time.Now()) {
			return p, refuse(malformed, "since has not come yet: what happens until then would be left out.")
		}
		if p, err = sinks.FirstSince(s.trail, since); err != nil {
			return p, err
		}
	}
	if _, _, err := s.trail.Events(p, 1); err != nil { // it may be gone
		return p, err
	}
	end, err := s.trail.Last(0, "")
	if err != nil {
		return p, err
	}
	if end.Before(p) {
		return p, refuse(malformed, fmt.Sprintf("The trail ends before %s here: what happens until then would be left "+
			"out. Take a position up to that.", end))
	}
	return p, nil
}

// dayOrMoment reads the beginning of a day in UTC, or a moment.
func dayOrMoment(text string) (engine.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil && t.UnixMilli() >= 0 {
			return engine.TimeOf(t), true
		}
	}
	return 0, false
}

// lettersQuery is which dead letters are asked for.
type lettersQuery struct {
	From  askedPosition `query:"from"`                          // Where to go on: next of the page before.
	Limit int           `query:"limit" usual:"100" most:"1000"` // Letters a page.
}

func (s *AdminServer) letters(r *http.Request, q *lettersQuery) (page wire.DeadLetters, err error) {
	j, err := s.sinkNamed(r)
	if err != nil {
		return page, err
	}
	page = wire.DeadLetters{Sink: j.Name, Letters: []wire.DeadLetter{}}
	for _, n := range s.sinks.Sinks() {
		if n.Name != j.Name {
			continue
		}
		for i := range n.Letters {
			l := &n.Letters[i]
			if l.At.Before(q.From.TrailPosition) {
				continue
			}
			if len(page.Letters) == q.Limit {
				page.Next = l.At.String()
				break
			}
			told := wire.DeadLetter{At: l.At.String(), OrderNo: l.OrderNo, Why: l.Why, Since: milliseconds(l.Since),
				Times: l.Times, Again: l.Again}
			if events, _, err := s.trail.Events(l.At, 1); err == nil && len(events) == 1 &&
				events[0].TrailPosition == l.At {
				e := trailOf(&events[0])
				told.Event = &e
			}
			page.Letters = append(page.Letters, told)
		}
	}
	return page, nil
}

// changeLetters makes the handler of a change of dead letters.
func changeLetters(action engine.SinkAction) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.LettersNamed) (j wire.Sink, err error) {
		if b.All == (len(b.Letters) > 0) || len(b.Letters) > engine.MaxLetters {
			return j, refuse(malformed, fmt.Sprintf(`Name the letters, at most %d, by their at, such as `+
				`{"letters":["4711.0"]}, or say {"all":true}.`, engine.MaxLetters))
		}
		x := engine.SinkChange{Action: action}
		for _, text := range b.Letters {
			at, ok := parsePosition(text)
			if !ok {
				return j, refuse(malformed, fmt.Sprintf("%q is no position of a letter, INDEX.N.", clipped(text)))
			}
			x.Letters = append(x.Letters, at)
		}
		slices.SortFunc(x.Letters, func(p, q engine.TrailPosition) int { return p.Compare(q) })
		x.Letters = slices.Compact(x.Letters)
		return s.changeSink(r, x, b.Note.Note)
	})
}
