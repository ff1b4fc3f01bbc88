package backoffice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"doorbuster/engine"
)

// manyRows is how many orders one command is about: what Apply does for it grabs wait
// for. It is less than engine.MaxParcels, and with the longest texts well under an entry.
const manyRows = 1024

// many is what is asked of many orders of a session.
type many struct {
	kind   engine.CommandKind
	rows   int
	export uint32 // as it is asked for; once it was made, its number
	order  func(i int) engine.OrderRef
	add    func(c *engine.Command, i int) // puts a row into a command
}

// askMany takes many rows through the log in steps, and tells how many orders changed. All
// rows are looked at before the first step is asked for, and a step that changes nothing
// is not. A change of the leader is waited for.
func (bo *Office) askMany(ctx context.Context, by engine.By, session string, m *many) (changed int, err error) {
	h, err := bo.sessionOf(ctx, session)
	if err != nil {
		return 0, err
	}
	var whole, first engine.Command
	if err := bo.sign(ctx, &whole, by); err != nil {
		return 0, err
	}
	if done, _, err := bo.done(whole.Intent); done || err != nil {
		bo.findExport(m, bo.doneWith(whole.Intent))
		return 0, err
	}
	steps := m.steps(h)
	needed, err := bo.foresee(m, steps)
	if err != nil {
		return 0, err
	}
	made := m.export != 0 || m.kind != engine.CmdExportOrders
	if !made { // asked for twice, a new export is one
		by.Key = cmp.Or(by.Key, rand.Text()) + " first"
		if err := bo.sign(ctx, &first, by); err != nil {
			return 0, err
		}
		if begun := bo.doneWith(first.Intent); !begun.IsZero() { // it broke off: this is the rest of it
			bo.findExport(m, begun)
			made = true
		}
	}
	for i, c := range steps {
		c.Operator, c.Export, c.Intent = by.Operator, m.export, engine.Intent{}
		if i == len(steps)-1 {
			c.Intent = whole.Intent
		}
		if !made && c.Intent == (engine.Intent{}) {
			c.Intent = first.Intent
		}
		if !needed[i] && c.Intent == (engine.Intent{}) {
			continue
		}
		o, err := bo.insist(ctx, c)
		if err != nil {
			return changed, bo.halted(err, &o.Event, m, i*manyRows)
		}
		if o.Event.Kind == engine.OrdersHandled {
			changed += int(o.Event.Quantity)
		}
		if !made {
			made = true
			bo.findExport(m, o.Event.Order)
		}
	}
	return changed, nil
}

// steps gives the commands that m takes.
func (m *many) steps(h engine.SessionHandle) (steps []engine.Command) {
	for from := 0; from < m.rows; from += manyRows {
		c := engine.Command{Kind: m.kind, Session: h, Export: m.export}
		for i := from; i < min(from+manyRows, m.rows); i++ {
			m.add(&c, i)
		}
		steps = append(steps, c)
	}
	return steps
}

// doneWith gives an order that what an intent means was about; none if that has not been
// done.
func (bo *Office) doneWith(i engine.Intent) (ref engine.OrderRef) {
	bo.View(func(s *engine.State) { ref = s.DoneWith(i) })
	return ref
}

// findExport finds which number a new export got, by an order that it has.
func (bo *Office) findExport(m *many, by engine.OrderRef) {
	if m.kind == engine.CmdExportOrders {
		bo.View(func(s *engine.State) {
			if v, known := s.View(by); known {
				m.export = v.Export
			}
		})
	}
}

// foresee says which steps would change something. Error: engine.RowProblems.
func (bo *Office) foresee(m *many, steps []engine.Command) (needed []bool, err error) {
	var wrong engine.RowProblems
	seen := make(map[engine.OrderRef]int, m.rows)
	for i := range m.rows {
		ref := m.order(i)
		if before, twice := seen[ref]; twice && len(wrong) < engine.MostRowProblems {
			p := bo.problem(i, ref, engine.ReasonConflict)
			p.Says = fmt.Sprintf("The order %s is in row %d already.", p.OrderNo, before+1)
			wrong = append(wrong, p)
		}
		seen[ref] = i
	}
	for i := range steps {
		type row struct {
			row int
			ref engine.OrderRef
			why engine.Reason
		}
		var no []row
		bo.View(func(s *engine.State) {
			var changed int
			changed, err = s.Foresee(&steps[i], func(at int, ref engine.OrderRef, why engine.Reason) bool {
				no = append(no, row{i*manyRows + at, ref, why})
				return len(wrong)+len(no) < engine.MostRowProblems
			})
			needed = append(needed, changed > 0)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range no {
			wrong = append(wrong, bo.problem(r.row, r.ref, r.why))
		}
		if len(wrong) >= engine.MostRowProblems {
			break
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return needed, nil
}

// halted says of a step that was refused after all which row it was for, and how many
// were taken before.
func (bo *Office) halted(err error, e *engine.Event, m *many, taken int) error {
	var refused *engine.Refusal
	if !errors.As(err, &refused) || e.Order.IsZero() {
		return err
	}
	for i := taken; i < m.rows; i++ {
		if m.order(i) == e.Order {
			p := bo.problem(i, e.Order, refused.Reason)
			p.Says += fmt.Sprintf(" It has changed meanwhile: the %d rows before have been taken, the others not; "+
				"look again, and bring them once more.", taken)
			return engine.RowProblems{p}
		}
	}
	return err
}

// problem says what is wrong with a row.
func (bo *Office) problem(row int, ref engine.OrderRef, why engine.Reason) engine.RowProblem {
	p := engine.RowProblem{Row: row, Reason: why, Says: "There is no such order."}
	bo.View(func(s *engine.State) {
		v, known := s.View(ref)
		if !known {
			return
		}
		p.OrderNo, p.State = v.OrderNo, v.State
		what := "The order " + v.OrderNo + " "
		switch why {
		case engine.ReasonNotHeld:
			what += "is " + v.State.String() + "."
		case engine.ReasonTooLate:
			what += fmt.Sprintf("went out with export %d: the warehouse has it.", v.Export)
		case engine.ReasonNotReviewed:
			what += "has not passed the second look."
		case engine.ReasonNoDelivery:
			what += "is of a listing whose goods are not delivered here: its delivery is none."
		case engine.ReasonNoReceiver:
			what += "has no receiver: the shopper has not said where the goods go."
		case engine.ReasonNoTracking:
			what += "needs a carrier and a tracking number, of at most 64 bytes each."
		case engine.ReasonFrozen:
			what += "is of a listing that is frozen."
		case engine.ReasonConflict:
			switch {
			case v.ShippedAt != 0:
				what += fmt.Sprintf("was shipped with %s %s before.", v.Carrier, v.Tracking)
			case v.Export != 0:
				what += fmt.Sprintf("went out with export %d before.", v.Export)
			default:
				what += "is there twice."
			}
		default:
			what += "can't be changed like that: " + why.String() + "."
		}
		p.Says = what
	})
	return p
}
