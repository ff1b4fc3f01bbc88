// Package actors decides grabs in order: one actor a listing on the node that
// leads, with a Gate before it on every node.
//
// The way of a grab. The listing's gate, atomics that committed events keep up
// to date, says no at once where the answer can't be otherwise. What it lets in
// goes to the listing's SKU actor, which takes grabs one by one against its
// speculative state: what is committed as available, less what is in flight. The
// actor says no by itself; a would-be yes becomes a PlaceHold command in the
// batcher, which proposes all that has gathered as one log entry while the entry
// before is being written. The commit completes the shopper's reply slot and
// tells the actor what became of it.
//
// Invariants:
//
//   - Nobody is told yes before the commit. The actor is a filter and a
//     sequencer; engine.Apply has the last word.
//   - Gates close on committed events only. With nothing free but units in
//     flight, grabs park until those are decided: no false "sold out".
//   - A shopper who holds, held or may yet hold a unit is never answered by the
//     gate: the set of those seen sends them the long way, where their key is looked at
//     before every rule.
//   - A node that has not caught up yet denies nothing: its state is older than
//     what was told. Grabs, commands and displays wait for the first epoch,
//     questions are answered "not now".
//   - A slot is completed once; one that its shopper has left goes back to the
//     pool by the hand of whoever completes it.
//   - The outcome of what was under way when an epoch closed is unknown, not no:
//     the front asks again with the same key.
//
// Start reading at Group.Grab, then skuActor.decide and batcher.run.
package actors
