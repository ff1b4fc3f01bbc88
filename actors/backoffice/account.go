package backoffice

import (
	"context"
	"errors"
	"strings"

	"doorbuster/engine"
)

// How much of the state is read under one lock while accounts are compared.
const (
	accountRows    = 4096
	accountLookups = 64
)

// longOver is how long after its end a session's money is still looked for once the
// session was settled: nothing comes into it after that.
const longOver engine.Time = 62 * 24 * 3600 * 1000

// Accounts gives the account of each order, in the sequence of the keys; that of an
// unknown one is not Known. Money that came by a key's payment for no order of ours is
// in its account, too. It reads a few at a time, so that nobody waits.
func (bo *Office) Accounts(ctx context.Context, keys []engine.AccountKey) ([]engine.Account, error) {
	if err := bo.CatchUp(ctx); err != nil {
		return nil, err
	}
	accounts := make([]engine.Account, len(keys))
	for from := 0; from < len(keys); from += accountLookups {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(from+accountLookups, len(keys))
		var elsewhere []int // of settled sessions
		bo.View(func(s *engine.State) {
			for i := from; i < to; i++ {
				a, ref, known := s.Money().AccountBy(engine.AccountKey{OrderNo: strings.ToUpper(keys[i].OrderNo),
					PaymentID: keys[i].PaymentID})
				if accounts[i] = a; !known && hasLeft(s, ref) {
					elsewhere = append(elsewhere, i)
				}
			}
		})
		for _, i := range elsewhere {
			var err error
			if accounts[i].Order, err = bo.AnyOrder(keys[i].OrderNo); err != nil && !isUnknown(err) {
				return nil, err
			}
		}
	}
	return accounts, nil
}

func isUnknown(err error) bool {
	var no *engine.Refusal
	return errors.As(err, &no) && no.Reason == engine.ReasonUnknown
}

// Takings gives a page of the accounts whose orders' money came in [from, to), from
// a place on, the zero one for the first; more is false at the end. A page may be
// empty and not the last. Sessions that were settled, and ended two months before
// from, are left out.
func (bo *Office) Takings(
	ctx context.Context, from, to engine.Time, at engine.TakingsPlace,
) (page []engine.Account, next engine.TakingsPlace, more bool, err error) {
	if at == (engine.TakingsPlace{}) {
		at.Session = 1
		err = bo.CatchUp(ctx)
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, at, false, err
	}
	there, settled, over := false, false, true
	bo.View(func(s *engine.State) {
		x := s.SessionOf(at.Session)
		switch {
		case x == nil:
			return
		case !x.Left():
			at.Ordinal, over = s.Money().Takings(at.Session, at.Ordinal, from, to, accountRows,
				func(ref engine.OrderRef) {
					a, _ := s.Money().Account(ref)
					page = append(page, a)
				})
		default:
			settled = x.EndedAt+longOver >= from
		}
		there = true
	})
	if settled {
		ref := engine.OrderRef{Session: at.Session, Ordinal: at.Ordinal + 1}
		looked, err := bo.walk(&ref, func(s *engine.State, o *engine.OrderRecord) bool {
			if o.PaymentID != "" && o.PaidAt >= from && o.PaidAt < to {
				kept, _ := s.Money().Account(o.Ref)
				page = append(page, engine.Account{Order: s.ViewRecord(o), Refunds: kept.Refunds,
					Timezone: kept.Timezone})
			}
			return true
		})
		if err != nil {
			return nil, at, false, err
		}
		at.Ordinal, over = ref.Ordinal-1, looked == 0
	}
	if over {
		at = engine.TakingsPlace{Session: at.Session + 1}
	}
	return page, at, there, nil
}

// RefundsAfter gives a page of all refunds, made or due, with a number over after,
// by number; none at the end.
func (bo *Office) RefundsAfter(ctx context.Context, after engine.RefundNo) (page []engine.RefundView, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bo.View(func(s *engine.State) {
		for no := after + 1; int(no) <= s.Money().Refunds() && len(page) < accountRows/8; no++ {
			page = append(page, s.Money().ViewRefund(no))
		}
	})
	return page, nil
}
