package engine

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"pgregory.net/rapid"
)

// modelSink is a sink as the model knows it.
type modelSink struct {
	at             uint64 // index and number in one: index*10 + n
	noted          Time
	paused         bool
	replays, begun uint64
	dead           map[uint64]Letter
}

func flatPosition(p TrailPosition) uint64 { return uint64(p.Index)*10 + uint64(p.N) }

func (m *model) setSink(x *SinkChange) Event {
	no := func(why Reason) Event { return Event{Kind: CommandRefused, Reason: why} }
	n, there := m.sinks[x.Name]
	if !there {
		n = &modelSink{dead: map[uint64]Letter{}}
	}
	moved, steered := Event{Kind: SinkMoved}, Event{Kind: SinkSteered}
	done := steered
	switch x.Action {
	case SinkForget:
		if !there {
			return no(ReasonUnknown)
		}
		delete(m.sinks, x.Name)
		return steered
	case SinkMove:
		from, to := flatPosition(x.From), flatPosition(x.To)
		if from != n.at || to < from || n.begun < n.replays {
			return no(ReasonConflict)
		}
		n.at, n.noted, done = to, m.now, moved
	case SinkPause:
		n.paused = true
	case SinkResume:
		n.paused = false
	case SinkReplay:
		n.at, n.noted = flatPosition(x.To), m.now
		n.replays++
	case SinkBegin:
		if x.Replay != n.replays {
			return no(ReasonConflict)
		}
		n.begun, done = n.replays, moved
	case SinkBury:
		l := x.Letter
		l.Times, l.Since, l.Again = n.dead[flatPosition(l.At)].Times+1, m.now, false
		n.dead[flatPosition(l.At)] = l
	case SinkAgain:
		for _, at := range x.Letters {
			if _, dead := n.dead[flatPosition(at)]; !dead {
				return no(ReasonUnknown)
			}
		}
		for at, l := range n.dead {
			if len(x.Letters) == 0 || slices.ContainsFunc(x.Letters, func(p TrailPosition) bool {
				return flatPosition(p) == at
			}) {
				l.Again = true
				n.dead[at] = l
			}
		}
	case SinkArrive, SinkDrop:
		if x.Action == SinkArrive {
			if done = moved; len(x.Letters) == 0 {
				return no(ReasonRefused)
			}
		} else if len(x.Letters) == 0 {
			clear(n.dead)
		}
		for _, at := range x.Letters {
			delete(n.dead, flatPosition(at))
		}
	}
	m.sinks[x.Name] = n
	return done
}

// sinksDiffer says how a state's sinks are not what the model says.
func (m *model) sinksDiffer(s *State) string {
	if len(s.Sinks()) != len(m.sinks) {
		return fmt.Sprintf("%d sinks, the model has %d", len(s.Sinks()), len(m.sinks))
	}
	for name, want := range m.sinks {
		n := s.Sink(name)
		var dead []Letter
		for _, at := range slices.Sorted(maps.Keys(want.dead)) {
			dead = append(dead, want.dead[at])
		}
		if flatPosition(n.At) != want.at || n.Since != want.noted || n.Paused != want.paused ||
			n.Replays != want.replays || n.Begun != want.begun ||
			len(n.Letters)+len(dead) > 0 && !reflect.DeepEqual(n.Letters, dead) {
			return fmt.Sprintf("sink %s is %+v; the model says %+v", name, n, want)
		}
	}
	return ""
}

// sink changes what is noted of a sink.
func (s *simulation) sink() Command {
	position := func(what string) TrailPosition {
		return TrailPosition{LogIndex(rapid.IntRange(0, 3).Draw(s.t, what)),
			uint32(rapid.IntRange(0, 1).Draw(s.t, what))}
	}
	x := SinkChange{Name: rapid.SampledFrom([]string{"shop", "hooks"}).Draw(s.t, "sink"),
		Action: SinkAction(rapid.IntRange(1, int(sinkActionEnd)-1).Draw(s.t, "of a sink")), To: position("to")}
	n := s.group.state.Sink(x.Name)
	if x.From = n.At; rapid.IntRange(0, 3).Draw(s.t, "another from") == 0 {
		x.From = position("from")
	}
	if x.Replay = n.Replays; rapid.IntRange(0, 3).Draw(s.t, "another replay") == 0 {
		x.Replay++
	}
	if x.Action == SinkBury {
		x.Letter = Letter{At: position("letter"), OrderNo: "no", Why: rapid.SampledFrom([]string{"gone",
			"bad"}).Draw(s.t, "why dead")}
	}
	for range rapid.IntRange(0, 2).Draw(s.t, "letters") {
		x.Letters = append(x.Letters, position("letter"))
	}
	return Command{Kind: CmdSetSink, Sink: &x, Operator: "op", Note: "why"}
}
