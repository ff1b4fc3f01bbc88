// Package cashier is a small cashier outside of the shop, for demonstrations and
// tests. He keeps books of his own, which survive a kill at any moment, takes money
// for payment tokens, calls back, pays back what the shop asks for, closes orders,
// and issues statements. He can be made to behave badly, from a seed: to delay,
// repeat, drop and reorder his callbacks, to take money that is late, and to fail
// under the shop's questions.
//
// He is no payment system: whoever asks him pays, without money.
//
// Start reading at Cashier.Take and Books.
package cashier
