package reconcile

import (
	"context"

	"doorbuster/engine"
)

// Accounts are the shop's own. All methods are safe for concurrent use, and none holds
// the shop up: what is long is given in pages.
type Accounts interface {
	// Accounts gives the account of each order, in the sequence of the keys; that of an
	// unknown one is not Known. Money that came by a key's payment for no order of ours
	// is in its account, too.
	Accounts(ctx context.Context, keys []engine.AccountKey) ([]engine.Account, error)
	// Takings gives a page of the accounts whose orders' money came in [from, to),
	// from a place on, the zero one for the first; more is false at the end. A page
	// may be empty and not the last.
	Takings(ctx context.Context, from, to engine.Time, at engine.TakingsPlace) (
		page []engine.Account, next engine.TakingsPlace, more bool, err error)
	// RefundsAfter gives a page of all refunds, made or due, with a number over
	// after, by number; none at the end.
	RefundsAfter(ctx context.Context, after engine.RefundNo) ([]engine.RefundView, error)
	// Pay tells of money taken, once for each payment id. Errors: *engine.Refusal
	// for a no; others are worth another try.
	Pay(ctx context.Context, p engine.Payment) (engine.Receipt, error)
	// ConfirmRefund notes that the cashier has paid back; doing it twice is no error.
	ConfirmRefund(ctx context.Context, no engine.RefundNo, reference string) error
}
