package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what is kept of sinks.
const (
	MaxSinks       = 64   // of a group
	MaxLetters     = 1000 // dead letters of a sink
	MaxLetterBytes = 256  // of why one is dead
)

// SinkNote is what the group has committed of a sink. One that the state has given out
// never changes.
type SinkNote struct {
	Name string
	// At is the position behind the last change that the sink is known to have for good,
	// except the dead letters. It trails behind where the sink itself keeps its position.
	At      TrailPosition
	Since   Time // when At was noted
	Paused  bool
	Replays uint64 // how many times operators said where it goes on
	Begun   uint64 // how many of those have begun
	Letters []Letter
}

// Letter is a change that the other side of a sink refused for good, put aside so that
// those behind it get their turn. What was in it is read from the trail again.
type Letter struct {
	At      TrailPosition
	OrderNo string // "" if it is about none
	Why     string // at most MaxLetterBytes
	Since   Time   // when it was put aside last
	Times   uint32 // how often it was
	Again   bool   // it is to be sent again
}

// SinkAction is what is to be noted of a sink.
type SinkAction uint8

// Actions. Their numbers are on disk.
const (
	SinkMove   SinkAction = iota + 1 // it has all before To; it had all before From
	SinkPause                        //
	SinkResume                       //
	SinkReplay                       // it goes on from To
	SinkBegin                        // the replay with a number has begun
	SinkBury                         // a letter is put aside, or once more
	SinkAgain                        // letters are to be sent again: those at Letters, or all
	SinkArrive                       // letters have arrived
	SinkDrop                         // letters are dropped: those at Letters, or all
	SinkForget                       // nothing is known of it any more
	sinkActionEnd
)

var sinkActions = [...]string{"", "move", "pause", "resume", "replay", "begin", "bury", "send again", "arrive", "drop",
	"forget"}

func (a SinkAction) String() string { return nameOf(sinkActions[:], int(a)) }

// SinkChange is what a SetSink notes. Which fields count depends on Action.
type SinkChange struct {
	Name     string
	Action   SinkAction
	From, To TrailPosition
	Replay   uint64
	Letter   Letter // SinkBury: At, OrderNo and Why
	Letters  []TrailPosition
}

func (p *TrailPosition) fields(c *coder) { c.all(&p.Index, &p.N) }

func (l *Letter) fields(c *coder) {
	c.all(&l.At, &l.OrderNo)
	c.text(&l.Why, MaxLetterBytes)
	c.all(&l.Since, &l.Times, &l.Again)
}

func (x *SinkChange) fields(c *coder) {
	c.all(&x.Name)
	oneOf(c, &x.Action, sinkActionEnd, "an unknown action on a sink")
	c.all(&x.From, &x.To, &x.Replay)
	if x.Action == SinkBury {
		c.all(&x.Letter)
	}
	c.all(&x.Letters)
}

func (n *SinkNote) fields(c *coder) {
	c.all(&n.Name, &n.At, &n.Since, &n.Paused, &n.Replays, &n.Begun, &n.Letters)
	c.check(ValidID(n.Name) && n.Begun <= n.Replays && len(n.Letters) <= MaxLetters, "a sink that can't be")
	for i := range n.Letters {
		l := &n.Letters[i]
		c.check(l.Times > 0 && (i == 0 || n.Letters[i-1].At.Before(l.At)), "a dead letter that can't be")
	}
}

// sinkNamed tells where a sink stands among those known, or would.
func (s *State) sinkNamed(name string) (at int, found bool) {
	return slices.BinarySearchFunc(s.sinks, name, func(n *SinkNote, name string) int {
		return strings.Compare(n.Name, name)
	})
}

// Sink gives what is noted of a sink; nothing, by that name, where nothing is. Read only.
func (s *State) Sink(name string) *SinkNote {
	if at, found := s.sinkNamed(name); found {
		return s.sinks[at]
	}
	return &SinkNote{Name: name}
}

// Sinks gives what is noted of sinks, by name. Read only.
func (s *State) Sinks() []*SinkNote { return s.sinks }

// Letter tells where among its dead letters one stands, or would.
func (n *SinkNote) Letter(at TrailPosition) (i int, found bool) {
	return slices.BinarySearchFunc(n.Letters, at, func(l Letter, at TrailPosition) int { return l.At.Compare(at) })
}

// Compare orders positions as they stand in the trail.
func (p TrailPosition) Compare(q TrailPosition) int {
	return cmp.Or(cmp.Compare(p.Index, q.Index), cmp.Compare(p.N, q.N))
}

func (s *State) setSink(c *Command) Event {
	x := c.Sink
	if x == nil {
		return refused(ReasonRefused)
	}
	at, found := s.sinkNamed(x.Name)
	switch {
	case !ValidID(x.Name):
		return refused(ReasonRefused)
	case !found && x.Action == SinkForget:
		return refused(ReasonUnknown)
	case !found && len(s.sinks) >= MaxSinks:
		return refused(ReasonTooMany)
	case x.Action == SinkForget:
		s.sinks = slices.Delete(slices.Clone(s.sinks), at, at+1)
		return Event{Kind: SinkSteered}
	}
	n := *s.Sink(x.Name)
	if why := s.change(&n, x); why != ReasonNone {
		return refused(why)
	}
	s.sinks = slices.Clone(s.sinks) // a snapshot may hold the old one
	if found {
		s.sinks[at] = &n
	} else {
		s.sinks = slices.Insert(s.sinks, at, &n)
	}
	if x.Action == SinkMove || x.Action == SinkBegin || x.Action == SinkArrive {
		return Event{Kind: SinkMoved}
	}
	return Event{Kind: SinkSteered}
}

// change makes a change to a note that nobody else has, or says why it can't be.
func (s *State) change(n *SinkNote, x *SinkChange) Reason {
	switch x.Action {
	case SinkMove:
		if x.From != n.At || x.To.Before(x.From) || n.Begun != n.Replays {
			return ReasonConflict // another leader has moved it, or an operator
		}
		n.At, n.Since = x.To, s.now
	case SinkPause, SinkResume:
		n.Paused = x.Action == SinkPause
	case SinkReplay:
		n.At, n.Since, n.Replays = x.To, s.now, n.Replays+1
	case SinkBegin:
		if x.Replay != n.Replays {
			return ReasonConflict
		}
		n.Begun = x.Replay
	case SinkBury:
		return s.bury(n, &x.Letter)
	case SinkAgain, SinkArrive, SinkDrop:
		return n.changeLetters(x)
	default:
		return ReasonRefused
	}
	return ReasonNone
}

func (s *State) bury(n *SinkNote, l *Letter) Reason {
	i, found := n.Letter(l.At)
	dead := Letter{At: l.At, OrderNo: l.OrderNo, Why: l.Why, Since: s.now, Times: 1}
	switch {
	case found:
		dead.Times += n.Letters[i].Times
		n.Letters = slices.Clone(n.Letters)
		n.Letters[i] = dead
	case len(n.Letters) >= MaxLetters:
		return ReasonTooMany
	default:
		n.Letters = slices.Insert(slices.Clone(n.Letters), i, dead)
	}
	return ReasonNone
}

// changeLetters has letters sent again or leave; those that are not there are no more.
func (n *SinkNote) changeLetters(x *SinkChange) Reason {
	all := len(x.Letters) == 0
	if all && x.Action == SinkArrive {
		return ReasonRefused
	}
	meant := make(map[TrailPosition]bool, len(x.Letters))
	for _, at := range x.Letters {
		if _, found := n.Letter(at); !found && x.Action == SinkAgain {
			return ReasonUnknown
		}
		meant[at] = true
	}
	left := make([]Letter, 0, len(n.Letters))
	for _, l := range n.Letters {
		if all || meant[l.At] {
			if x.Action != SinkAgain {
				continue
			}
			l.Again = true
		}
		left = append(left, l)
	}
	n.Letters = left
	return ReasonNone
}

// readSink reads a sink, which stands behind all before it by name.
func (s *State) readSink(c *coder) {
	n := new(SinkNote)
	n.fields(c)
	last := len(s.sinks)
	c.check(last < MaxSinks && (last == 0 || s.sinks[last-1].Name < n.Name), "a sink there twice, or one too many")
	s.sinks = append(s.sinks, n)
}

// describeSink says what an operator's change of a sink is, and how it was.
func (s *State) describeSink(x *SinkChange) string {
	if x == nil {
		return ""
	}
	n := s.Sink(x.Name)
	switch x.Action {
	case SinkReplay:
		return fmt.Sprintf("sink %s: from %s; before: %s", n.Name, x.To, n.At)
	case SinkBury:
		return fmt.Sprintf("sink %s: %s is put aside: %s", n.Name, x.Letter.At, x.Letter.Why)
	case SinkAgain, SinkDrop:
		which := "all"
		if len(x.Letters) > 0 {
			which = fmt.Sprint(len(x.Letters))
		}
		return fmt.Sprintf("sink %s: %s, %s of %d letters", n.Name, x.Action, which, len(n.Letters))
	case SinkPause, SinkResume, SinkForget:
		return fmt.Sprintf("sink %s: %s", n.Name, x.Action)
	}
	return "" // what the leader does by itself
}
