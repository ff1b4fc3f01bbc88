// Package bench sends crowds at a shop and judges what came of it.
//
// It holds these workloads:
//
//   - [Rush]: many distinct shoppers on one or several listings over HTTP, with
//     double clicks, payments, cancellations and shoppers who come back. It ends
//     with a verdict: what every shopper was told, held against the shop's own
//     counts and orders. Speed without that verdict means nothing.
//   - [Crash]: rounds of the same load on a node in a process of its own that is
//     killed and restarted; whatever anybody was ever told is held against what
//     the node still knows.
//   - [Failover]: the same load on all nodes of a cluster, whose leader is killed
//     over and over; how long nothing is granted, and whether all nodes know what
//     any of them ever told.
//   - [Bargain]: bargains on a cluster whose leader is killed; every price, cut and order
//     is held against what shoppers and their friends were told, and every cut is drawn
//     again.
//   - [TwoTabs]: everybody asks for two listings at once through two nodes, and may
//     have one unit.
//   - [Contest]: bots from the first millisecond against people, for a few units,
//     with each defence alone and with all: who gets how many.
//   - [Decide]: durable decisions a second in process, without HTTP, and what they
//     stand on beside them (package bare).
//   - [Growth]: what becomes of speed and memory with many listings and live holds.
//   - [Overload]: many times what a node can take, in the open loop, and how it comes
//     back.
//   - [Sale]: a fan day on three nodes in the open loop, and three million shoppers for
//     one listing, each beside a bare handler under the same crowd, with a verdict.
//   - [HTTPRatios]: the refused and the granted path against a bare handler,
//     interleaved in one run. Absolute figures move with the machine; the ratios
//     of one run can be compared.
//
// What was measured is kept ([Save]); [Compare] decides whether two of these differ, and
// [WritePage] draws them.
//
// What keeps the figures honest:
//
//   - With an arrival rate (open loop) a latency counts from the moment the
//     request was meant to be sent, so a stalled shop can't hide its stall by
//     stalling the generator (coordinated omission). How late the generator
//     itself was is reported beside it.
//   - A request without an answer is not a no. Its key is asked after until the
//     shop says what became of it; if it never does, the outcome is "unknown"
//     and the verdict allows for both.
//   - Everything random derives from a seed and the shopper's number, so that a
//     run can be repeated. The interleaving on the wire can't be.
//   - A report carries all the settings of its run.
//
// Start reading at [RushConfig] and [Rush]; testimony.go keeps what shoppers were
// told, judge.go judges it; [Crash] kills the node in between, [Failover] the
// leader. The package uses the shop through its outside contract only, but for the
// rule of cuts, which anybody may do again.
package bench
