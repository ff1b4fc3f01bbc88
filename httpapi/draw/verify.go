package draw

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"doorbuster/engine"
)

// Report is what was checked of a draw.
type Report struct {
	Entrants, Drawn, Late       int
	Got, NothingLeft, Forbidden int // entrants: who got units, for whom nothing was left, whom a rule forbade
	Left, Waiting               int // entrants who left; who wait in line
	CameBack                    int // entrants who got units that others gave back
	Checked                     []string
	Problems                    []string // empty if all holds
}

// Holds reports whether nothing is wrong.
func (r *Report) Holds() bool { return len(r.Problems) == 0 }

const maxProblems = 20

func (r *Report) wrong(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

func (r *Report) checked(format string, args ...any) {
	r.Checked = append(r.Checked, fmt.Sprintf(format, args...))
}

// placed is an entrant in the order of the draw.
type placed struct {
	*Entry
	rank    uint64
	arrival int
}

// InOrder gives the entrants in the order in which the draw takes them, by seed.
func InOrder(d *Draw, seed [32]byte) []*Entry {
	order := inOrder(d, seed)
	entries := make([]*Entry, len(order))
	for i := range order {
		entries[i] = order[i].Entry
	}
	return entries
}

func inOrder(d *Draw, seed [32]byte) []placed {
	order := make([]placed, len(d.Entries))
	for i := range d.Entries {
		e := &d.Entries[i]
		order[i] = placed{e, 0, i}
		if !e.Late {
			order[i].rank = engine.Rank(seed, e.OrderNo)
		}
	}
	slices.SortFunc(order, func(a, b placed) int {
		switch {
		case a.Late != b.Late:
			if a.Late {
				return 1
			}
			return -1
		case a.Late:
			return cmp.Compare(a.arrival, b.arrival)
		}
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.OrderNo, b.OrderNo))
	})
	return order
}

// Verify does the sum of a draw again. commitment is what was told before anybody
// entered, hex; "" takes the one that the draw itself names.
//
// Units go by rank, so nobody gets one after somebody before them for whom nothing
// was left, unless that one asked for fewer, or units came back: those of holds that
// ended go to the line, which is in the order of the draw too, or to who is next.
func Verify(d *Draw, commitment string) *Report {
	r := &Report{}
	seed, ok := r.verifySeed(d, commitment)
	if !ok {
		return r
	}
	r.verifyEntrants(d)
	order := inOrder(d, seed)
	r.checked("the ranks of %d entrants follow from the seed; %d who came late follow by arrival", r.Drawn, r.Late)
	r.verifyOutcomes(d, order)
	return r
}

func (r *Report) verifySeed(d *Draw, commitment string) (seed [32]byte, ok bool) {
	if d.Seed == "" {
		r.wrong("the draw has not closed: its seed is not told yet")
		return seed, false
	}
	raw, err := hex.DecodeString(d.Seed)
	if err != nil || len(raw) != len(seed) {
		r.wrong("the seed %q is not 32 bytes in hex", d.Seed)
		return seed, false
	}
	seed = [32]byte(raw)
	sum := engine.Commitment(seed)
	got, told := hex.EncodeToString(sum[:]), strings.ToLower(cmp.Or(commitment, d.Commitment))
	if got != told {
		r.wrong("the seed's commitment is %s, and %s was committed to beforehand", got, told)
	}
	if !strings.EqualFold(told, d.Commitment) {
		r.wrong("the draw names the commitment %s, and %s was told beforehand", d.Commitment, told)
	}
	r.checked("the seed %s is the one committed to by %s", d.Seed, told)
	return seed, r.Holds()
}

func (r *Report) verifyEntrants(d *Draw) {
	seen := make(map[string]bool, len(d.Entries))
	for i := range d.Entries {
		e := &d.Entries[i]
		if seen[e.OrderNo] {
			r.wrong("%s is in the draw twice", e.OrderNo)
		}
		seen[e.OrderNo] = true
		if r.Entrants++; e.Late {
			r.Late++
		} else {
			r.Drawn++
		}
	}
	r.checked("%d entrants, each once", r.Entrants)
}

// Outcomes of entrants, as far as the order of a draw goes.
type outcome int

const (
	undecided outcome = iota
	got
	gaveBack // got units, which are not theirs any more
	nothingLeft
	waiting
	forbidden
	left
	unknown
)

func outcomeOf(e *Entry) outcome {
	state, known := engine.ParseOrderState(e.State)
	switch {
	case !known:
		return unknown
	case state == engine.Entered:
		return undecided
	case state == engine.Waiting:
		return waiting
	case state == engine.Left:
		return left
	case state == engine.Passed:
		switch e.Why {
		case engine.ReasonDrawn.String(), engine.ReasonGone.String(), engine.ReasonSoldOut.String():
			return nothingLeft
		case "":
			return unknown
		}
		return forbidden
	case state.Live():
		return got
	}
	return gaveBack
}

func (r *Report) verifyOutcomes(d *Draw, order []placed) {
	var live, back, after int64 // units
	smallest, first := uint32(0), ""
	for i := range d.Entries {
		if outcomeOf(&d.Entries[i]) == gaveBack {
			back += int64(d.Entries[i].Quantity)
		}
	}
	for i := range order {
		e := order[i]
		switch o := outcomeOf(e.Entry); o {
		case undecided:
			r.wrong("%s, number %d in the order, is not decided yet: check again when the draw is done", e.OrderNo, i+1)
		case unknown:
			r.wrong("of %s, number %d in the order, it says %q %q, which is no outcome", e.OrderNo, i+1, e.State, e.Why)
		case left:
			r.Left++
		case forbidden:
			r.Forbidden++
		case nothingLeft, waiting:
			if r.NothingLeft++; o == waiting {
				r.NothingLeft--
				r.Waiting++
			}
			if smallest == 0 || e.Quantity < smallest {
				smallest, first = e.Quantity, fmt.Sprintf("%s, number %d", e.OrderNo, i+1)
			}
		default:
			if r.Got++; o == got {
				live += int64(e.Quantity)
			}
			if smallest == 0 || e.Quantity < smallest {
				continue
			}
			r.CameBack++
			if after += int64(e.Quantity); after > back {
				r.wrong("%s, number %d in the order, got %d, although nothing was left for %s, and no more than %d "+
					"came back (unless stock was added after the draw)", e.OrderNo, i+1, e.Quantity, first, back)
			}
		}
	}
	if live > d.Stock {
		r.wrong("%d units are with entrants, and only %d were put up", live, d.Stock)
	}
	r.checked("%d got units in the order of the draw, %d of them units that came back; nothing was left for %d, %d "+
		"wait in line", r.Got, r.CameBack, r.NothingLeft, r.Waiting)
	r.checked("%d left by themselves; a rule forbade %d, for the reasons that they name", r.Left, r.Forbidden)
}

// Find looks an entrant up: one who is missing is a problem.
func (r *Report) Find(d *Draw, orderNo string) {
	raw, err := hex.DecodeString(d.Seed)
	if err != nil || len(raw) != 32 {
		return // told already
	}
	for i, e := range InOrder(d, [32]byte(raw)) {
		if strings.EqualFold(e.OrderNo, orderNo) {
			r.checked("%s is in the draw: number %d in the order, %s", e.OrderNo, i+1, e.State)
			return
		}
	}
	r.wrong("%s is not in the draw", orderNo)
}
