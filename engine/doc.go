// Package engine holds the rules of a flash sale as a pure step function:
// commands go in, in log order, and events come out.
//
// A State is the whole of what a Raft group knows. Apply feeds it one log
// entry. Nothing here reads a clock, draws a random number, does I/O, starts a
// goroutine, takes a lock or depends on the order of a map, so that the same
// log gives the same state, and the same Hash, on every node. Time is part of
// the state: the leader stamps it into each batch, and what is due at that time
// (expiries, openings, ends) runs before the batch's commands.
//
// Invariants, checked after every Apply for each listing it touched:
//
//   - stock = available + held + paid, and none of them is negative.
//   - A shopper's live and paid units stay within the limits of the listing and
//     of the session.
//   - A key of a shopper leads to one order for ever.
//   - An order leaves the state Held once.
//   - A shopper has one place at most in a listing's waitlist or draw, and on the waitlist
//     only ever comes nearer to its head. Who comes later is given nothing that
//     one on the waitlist could have.
//   - Waitlists, draws and the timers, which no snapshot stores, are at each index
//     what a node that comes from a snapshot derives from the orders.
//
// A listing that breaks the first is frozen, with an event that raises an
// alarm; the others go on selling. Under the build tag "invariants" it panics
// instead, and costlier checks run.
//
// Start reading at State and Apply, then placeHold in hold.go, where the rules
// of a grab stand once, and waitlist.go for what becomes of those who wait. Plan (plan.go)
// is what operators ask for; batch.go and snapshot.go draw the formats, whose values
// codec.go writes and reads: types as they are declared, where none of it is hot.
//
// A State is not safe for concurrent use: its owner serialises Apply with
// readers. A Snapshot, once taken, may be encoded while Apply goes on.
package engine
