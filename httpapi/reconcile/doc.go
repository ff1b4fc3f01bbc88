// Package reconcile holds the cashier's statement against the shop's orders. What
// it took and nobody told us of is booked as a payment, as late as it says it was;
// what it paid back is noted as paid back; and everything else on which the two
// sides differ is a Finding for people to see to.
//
// A statement is read three times: whole, to see that it can be taken; for its
// payments; and, if it has any, for its refunds, which may be of payments that were
// only just booked. Then the shop's own accounts are walked for what the statement
// should have had. Everything is done in pieces, so that the shop is never held up,
// and doing it again changes nothing: a payment is booked once for each of its ids.
//
// Start reading at Run.
package reconcile
