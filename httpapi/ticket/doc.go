// Package ticket issues and checks grab tickets: short-lived signed proofs that
// a shopper was let on to a listing once it was open. Nobody can make one
// beforehand, so nobody can prepare the address of a sale.
//
// A ticket is checked with the group's secret alone, by any node, without
// asking another one. That it serves only once is not decided here: its id goes
// with the grab into the state machine, which remembers the ids it has seen
// until they have expired.
//
// What holds here:
//   - A ticket passes for one shopper and one listing only, until its expiry.
//   - Two tickets are equal only if they have the same id, expiry, shopper and
//     listing: there is one way to write each.
//   - Check allocates nothing, and compares in constant time.
//
// Start reading at Keys.
package ticket
