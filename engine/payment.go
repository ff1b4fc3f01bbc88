package engine

// Payment is money that the cashier says he took.
type Payment struct {
	OrderNo  string
	ID       string // the cashier's, ValidKey: the same one pays once
	Amount   int64  // minor units
	Currency string
	PaidAt   Time // by the cashier's clock; 0 if he does not say
	// Transaction that the money came in; zero if the cashier does not say. Money of
	// another one than the order's is not the order's.
	Transaction Transaction
}

// PaymentOutcome is what became of a payment.
type PaymentOutcome uint8

// Outcomes of a payment.
const (
	PaymentUnchanged PaymentOutcome = iota // it was known before, and nothing has changed
	PaymentTaken                           // the order is paid
	PaymentToRefund                        // the money goes back
)

var paymentOutcomes = [...]string{"unchanged", "paid", "refund_due"}

func (o PaymentOutcome) String() string { return nameOf(paymentOutcomes[:], int(o)) }

// PaymentOutcomes lists every outcome's name, for metrics with a fixed set of labels.
func PaymentOutcomes() []string { return append([]string(nil), paymentOutcomes[:]...) }

// Receipt is what became of a payment, and the order as it is then.
type Receipt struct {
	Outcome PaymentOutcome
	Reason  Reason    // the true one: paid_late, paid_twice, settled, no_order
	Order   OrderView // zero with no_order: the money is for none
}

// RefundView is a refund as those see it who make it: a copy, theirs to keep.
type RefundView struct {
	Refund
	OrderNo     string
	Transaction Transaction
}

// ViewRefunds gives up to most refunds that are due, by number, with one over after.
func (s *State) ViewRefunds(after RefundNo, most int) (due []RefundView) {
	for no := max(after, s.madeUpTo) + 1; int(no) <= s.refunds.len() && len(due) < most; no++ {
		if r := s.refunds.at(int(no) - 1); r.Made == 0 {
			due = append(due, s.viewOf(r))
		}
	}
	return due
}

// InGrace gives up to most holds that at now are past their PayBy and not released
// yet, session by session in the order of the orders, of those behind after; and the
// last order it looked at, for the next look: the zero value once there is nothing
// behind. It may give few, or none, and still have more. Holds that stand behind one
// with time left to pay may be missed: their grace runs.
func (s *State) InGrace(after OrderRef, now Time, most int) (refs []OrderRef, last OrderRef) {
	looked := 0
	for _, x := range s.sessions[min(max(int(after.Session)-1, 0), len(s.sessions)):] {
		if x.State == Settled || x.PayGrace == 0 {
			continue
		}
		i := x.expired
		if x.Handle == after.Session {
			i = max(i, after.Ordinal)
		}
		for ; int(i) < x.orders.len(); i++ {
			if len(refs) == most || looked == most*lookedAt {
				return refs, OrderRef{x.Handle, i}
			}
			looked++
			o := x.orders.at(int(i))
			if o.State != Held || s.listings[o.Listing-1].Frozen {
				continue
			}
			if o.PayBy > now && o.inSequence {
				break
			}
			if o.PayBy <= now && o.graceMS > 0 {
				refs = append(refs, OrderRef{x.Handle, i + 1})
			}
		}
	}
	return refs, OrderRef{}
}
