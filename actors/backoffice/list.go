package backoffice

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

// A step of an import is one command. Small ones let grabs pass between them:
// taking in a row costs Apply about a microsecond.
const (
	importRows  = 2048
	importBytes = 256 << 10
)

// stepPatience is how long one step may look for a leader.
const stepPatience = time.Minute

// IDs gives the risk lists, and the allow lists that there are, with how many
// each names.
func (bo *Office) Rosters() (infos []engine.RosterInfo, err error) {
	if err := bo.Current(); err != nil {
		return nil, err
	}
	bo.View(func(s *engine.State) {
		for kind := engine.RosterRiskShopper; kind <= engine.RosterRiskIP; kind++ {
			infos = append(infos, engine.RosterInfo{RosterName: engine.RosterName{Kind: kind},
				Count: s.Rosters().Count(engine.RosterID{Kind: kind})})
		}
		for _, id := range s.Rosters().IDs() {
			if id.Kind == engine.RosterAllowed {
				infos = append(infos, engine.RosterInfo{RosterName: engine.RosterName{Kind: id.Kind, Name: id.Name},
					Count: s.Rosters().Count(id)})
			}
		}
	})
	return infos, nil
}

// rosterOf gives the id of a roster, after this node knows all that was told.
func (bo *Office) rosterOf(name engine.RosterName) (id engine.RosterID, err error) {
	if err := bo.Current(); err != nil {
		return id, err
	}
	id = engine.RosterID{Kind: name.Kind, Name: name.Name}
	if name.Kind == engine.RosterReserved {
		if id.Listing = bo.Handle(name.Session, name.SKU); id.Listing == 0 {
			return id, refusal(engine.ReasonUnknown)
		}
	}
	return id, nil
}

// known refuses an allow list that nobody has made, which may be a slip of the pen.
// The lists of other kinds are always there.
func known(s *engine.State, id engine.RosterID) error {
	if id.Kind == engine.RosterAllowed && s.Rosters().Mark(id) == nil {
		return &engine.Refusal{Reason: engine.ReasonUnknown,
			Detail: "No allow list has this name. The lists are at /admin/v1/allowlists."}
	}
	return nil
}

// RosterPage reads up to most rows of a roster from a position on (0 first), and
// gives the position after them, how many the roster names, and whether that was
// all. Fewer rows may come although there are more.
func (bo *Office) RosterPage(
	name engine.RosterName, from, most int,
) (rows []engine.RosterRow, next int, count int64, done bool, err error) {
	id, err := bo.rosterOf(name)
	if err != nil {
		return nil, 0, 0, false, err
	}
	bo.View(func(s *engine.State) {
		if err = known(s, id); err != nil {
			return
		}
		rows, next, done = s.Rosters().Rows(id, from, min(most, scanRows))
		count = s.Rosters().Count(id)
	})
	return rows, next, count, done, err
}

// ExportRoster gives all rows of a roster, some at a time. Rows that change
// meanwhile may be given as they were or as they are. Errors: each's, which ends
// it; a refusal as in conflict if the roster was replaced meanwhile.
func (bo *Office) ExportRoster(name engine.RosterName, each func([]engine.RosterRow) error) error {
	id, err := bo.rosterOf(name)
	if err != nil {
		return err
	}
	var mark any
	for at, done := 0, false; !done; {
		var rows []engine.RosterRow
		first := at == 0
		bo.View(func(s *engine.State) {
			if first {
				mark, err = s.Rosters().Mark(id), known(s, id)
			} else if mark != s.Rosters().Mark(id) {
				err = refusal(engine.ReasonConflict)
				return
			}
			if err == nil {
				rows, at, done = s.Rosters().Rows(id, at, scanRows)
			}
		})
		if err == nil && len(rows) > 0 {
			err = each(rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RosterRow gives what a roster says of id. Of an address that the risk list does
// not name itself it gives the prefix that says the worst.
func (bo *Office) RosterRow(name engine.RosterName, id string) (row engine.RosterRow, found bool, err error) {
	roster, err := bo.rosterOf(name)
	if err != nil {
		return row, false, err
	}
	bo.View(func(s *engine.State) {
		if row, found = s.Rosters().Row(roster, []byte(id)); found || name.Kind != engine.RosterRiskIP {
			return
		}
		if prefix, err := netip.ParsePrefix(id); err == nil && prefix.IsSingleIP() {
			if _, by := s.Rosters().PrefixLevel(prefix.Addr()); by.IsValid() {
				row, found = s.Rosters().Row(roster, []byte(by.String()))
			}
		}
	})
	return row, found, nil
}

// DropRoster forgets a roster and all that it names.
func (bo *Office) DropRoster(ctx context.Context, by engine.By, name engine.RosterName, note string) error {
	id, err := bo.rosterOf(name)
	if err != nil {
		return err
	}
	c := engine.Command{Kind: engine.CmdEditRoster, Note: note,
		Edit: engine.RosterEdit{Roster: id, Action: engine.RosterDrop}}
	if err := bo.sign(ctx, &c, by); err != nil {
		return err
	}
	if done, _, err := bo.done(c.Intent); done || err != nil {
		return err
	}
	known := false
	bo.View(func(s *engine.State) { known = s.Rosters().Mark(id) != nil })
	if !known {
		return refusal(engine.ReasonUnknown)
	}
	_, err = bo.Ask(ctx, c)
	return err
}

// ImportRoster puts rows into a roster, or has them take the place of all there
// were; rows that it has so already are left out. Rows that take the place are staged
// first and count in one step; others are put step by step, and an error may come
// after some of them: putting all of them once more is right then. A change of the
// leader is waited for. Error: a refusal as in conflict if another import came in
// between; the roster is as it was, or as that other one has it.
func (bo *Office) ImportRoster(
	ctx context.Context, name engine.RosterName, in engine.RosterImport,
) (out engine.RosterImported, err error) {
	id, err := bo.rosterOf(name)
	if err != nil {
		return out, err
	}
	c := engine.Command{Kind: engine.CmdEditRoster, Note: in.Note,
		Edit: engine.RosterEdit{Roster: id, Action: engine.RosterPut, Source: in.Source}}
	if err := bo.sign(ctx, &c, in.By); err != nil {
		return out, err
	}
	before, _, err := bo.done(c.Intent)
	switch {
	case err != nil:
		return out, err
	case before: // what it changed then is not remembered
		for row := range in.Rows {
			out.Take(row)
		}
	case in.Replace && bo.names(id, &in):
	default:
		if out, err = bo.bring(ctx, c, &in); err != nil {
			return out, err
		}
	}
	bo.View(func(s *engine.State) { out.Count = s.Rosters().Count(id) })
	return out, nil
}

// bring asks for an import step by step. c has everything but the rows.
func (bo *Office) bring(
	ctx context.Context, c engine.Command, in *engine.RosterImport,
) (out engine.RosterImported, err error) {
	id, intent := c.Edit.Roster, c.Intent
	c.Intent = engine.Intent{} // until the step that makes it done
	if in.Replace {
		c.Edit.Action, c.Edit.Stage = engine.RosterStage, newStage()
	}
	committed, steps, size := 0, 0, 0
	step := func() error {
		committed += len(c.Edit.Rows)
		if !in.Replace { // what changes nothing is not committed
			bo.View(func(s *engine.State) {
				c.Edit.Rows = slices.DeleteFunc(c.Edit.Rows, func(row engine.RosterEntry) bool {
					return s.Rosters().Level(id, row.ID) == row.Level
				})
			})
		}
		if in.Replace || len(c.Edit.Rows) > 0 || out.Changed > 0 && c.Intent != (engine.Intent{}) {
			if err := bo.persist(ctx, c); err != nil {
				return err
			}
		}
		for _, row := range c.Edit.Rows {
			out.Take(row)
		}
		steps++
		c.Edit.Rows, size = make([]engine.RosterEntry, 0, importRows), 0 // the old ones may still be read
		if in.Committed != nil {
			in.Committed(committed)
		}
		return nil
	}
	for row := range in.Rows {
		if len(c.Edit.Rows) == importRows || size+len(row.ID) > importBytes {
			if err := step(); err != nil {
				return out, err
			}
		}
		c.Edit.Rows = append(c.Edit.Rows, row)
		size += len(row.ID)
	}
	if len(c.Edit.Rows) > 0 || in.Replace && steps == 0 {
		if !in.Replace {
			c.Intent = intent
		}
		if err := step(); err != nil {
			return out, err
		}
	}
	if in.Replace {
		c.Edit.Action, c.Edit.Count, c.Edit.Rows, c.Intent = engine.RosterCommit, uint32(in.Count), nil, intent
		if err := bo.persist(ctx, c); err != nil {
			// One that was asked twice, and was done the first time, is refused.
			var refused *engine.Refusal
			if !errors.As(err, &refused) || refused.Reason != engine.ReasonConflict || !bo.names(id, in) {
				return out, err
			}
		}
	}
	return out, nil
}

// newStage is a number that no other staging has. It is never 0.
func newStage() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// persist asks for a step of an import until its outcome is known: doing it twice
// is as good as once.
func (bo *Office) persist(ctx context.Context, c engine.Command) error {
	_, err := bo.insist(ctx, c)
	return err
}

// insist is persist, and gives the outcome: of the last time that it was asked.
func (bo *Office) insist(ctx context.Context, c engine.Command) (o engine.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	for {
		o, err = bo.Ask(ctx, c)
		if err == nil || !errors.Is(err, engine.ErrNotLeader) && !errors.Is(err, engine.ErrOutcomeUnknown) {
			return o, err
		}
		if !actors.Pause(ctx) {
			return o, err
		}
	}
}

// names reports whether a roster names exactly what was to be imported.
func (bo *Office) names(id engine.RosterID, in *engine.RosterImport) bool {
	if bo.Current() != nil {
		return false
	}
	rows, same := make([]engine.RosterEntry, 0, importRows), true
	compare := func() {
		bo.View(func(s *engine.State) {
			same = same && s.Rosters().Mark(id) != nil && s.Rosters().Count(id) == int64(in.Count)
			for _, row := range rows {
				same = same && s.Rosters().Level(id, row.ID) == row.Level
			}
		})
		rows = rows[:0]
	}
	for row := range in.Rows {
		if rows = append(rows, row); len(rows) == cap(rows) {
			compare()
		}
	}
	compare()
	return same
}
