// Package cashier is a small cashier outside of the shop, for demonstrations and
// tests. It keeps books of its own, which survive a kill at any moment, takes money
// for payment tokens, calls back, pays back what the shop asks for, closes orders,
// and issues statements. It can be made to behave badly, from a seed: to delay,
// repeat, drop and reorder its callbacks, to take money that is late, and to fail
// under the shop's questions.
//
// It is no payment system: whoever asks it pays, without money.
//
// Start reading at Cashier.Take and Books.
package cashier
