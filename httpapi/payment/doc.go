// Package payment is what the shop and the cashier outside say to each other:
// tokens that a shopper carries to the cashier (Keys), requests signed by either
// (Secrets, Checker), and what the shop asks of the cashier by itself: to pay
// money back, and to take none any more for a hold whose time is over (Client,
// Jobs).
//
// A token is a JWS (RFC 7515) that names order, amount, currency and the time to
// pay. It is good for one payment, which the state machine sees to: an order is
// paid once. Tokens are not kept: the same order's token is the same bytes on
// every node that has the key.
//
// docs/cashier.md is the contract for those who build a cashier. Start reading at
// Keys.Append and Jobs.Run.
package payment
