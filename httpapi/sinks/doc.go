// Package sinks has what is committed flow out of the group: into the shop's database,
// to webhooks, into streams.
//
// Each Sink is fed by a Feed of its own, on the leader alone, from the same trail of
// committed events that operators read, in its order. How far a sink has come is known in
// one of two ways. A sink whose other side keeps the position together with what it was
// handed (a database in its transaction) takes each change once, whatever fails on either
// side. One whose other side keeps none goes by the group's own committed note, which
// trails behind: it may be handed changes again after a failure, each under the same
// Change.ID. Nothing is left out in either way: events that the trail has dropped before a
// sink took them stop the sink, with an alarm, until somebody says where it goes on.
//
// A sink that hangs or fails holds up itself alone: neither grabs nor other sinks wait.
//
// Start reading at Sink, then Feed in feed.go.
package sinks
