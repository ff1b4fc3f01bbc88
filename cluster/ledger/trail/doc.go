// Package trail keeps what happened in a sale, in order: every committed event, in
// append-only segments that a goroutine of its own writes.
//
// A [Trail] is told of every applied entry ([Trail.Applied]) and of snapshots that
// replace the state ([Trail.Restored]). It never looks at the state: events keep
// handles and order references, and readers put names to them. So the trails
// of all nodes are equal, event by event.
//
// Invariants:
//
//  1. A segment covers (after, upto] of the log: entries in it that the segment does
//     not have did nothing. Those of a kind do not overlap. What none covers is a gap, and
//     readers are told of it ([Event.Missing]).
//  2. Only the last segment of a kind is written to, by one goroutine. Sealed ones are replaced
//     as whole files, or removed.
//  3. Index is never more than what is on disk.
//  4. Nothing is read from a sealed file before the whole of it was compared with its
//     checksum, and no frame without its own.
//  5. A file that is damaged, or of another group, is quarantined and leaves a gap, but
//     for the frames before the damage; gaps are filled from peers, a page at a time,
//     each of which makes a segment.
//  6. Operators' deeds are kept twice: among all events, and apart. Both are dropped from
//     the oldest on, deeds later. Deeds are on disk first, so that the last segment of
//     them covers what the events do. Readers get deeds up to where events begin.
//
// Life: [Open]; [Trail.Own] as soon as the state knows its group, and Restored or
// Applied from then on; [Trail.Start] once; [Trail.Close]. segment.go draws the files.
package trail
