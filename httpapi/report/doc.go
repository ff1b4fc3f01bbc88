// Package report tells what came of a session.
//
// Its books (what was granted, paid, released, shipped, and when) come from the trail and the
// state: they are exact, and the same on every node. What only doors know (looks, refusals by
// reason, how long grabs took, how many different shoppers came) each node counts in memory
// ([Tallies]), with atomics alone on the way of a grab. Once a session has ended, the leader
// asks all nodes what they have counted, and keeps it with the books in a file; it does so
// again once nobody can pay any more, and once the session is settled. The other nodes copy the
// files ([Keeper]). What a node had counted that died before is missing, and the report says so.
//
// It is bounded: [MostSessions] sessions are counted at once, the soonest first, some 13 KiB
// each; of incidents [mostIncidents] are remembered, and as many told.
package report
