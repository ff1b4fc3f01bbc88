// Package backoffice is what doors ask of a group besides grabs: orders and their payments,
// plans and sessions, lists, waitlists, draws, switches and what is on display; and
// what the node that leads sees to by itself, settling.
//
// A question waits until this node knows all that anybody was told (Group.Current), or
// says that it does not. A command goes through the log (Group.Ask), on whichever node
// leads. Orders that have left the state come from the ledger (Group.Records), so that
// nobody notices which of the two has them.
//
// Nothing here decides about a unit: that is for the package above, and for the engine.
//
// Start reading at Office, then AnyOrder and askOrder.
package backoffice
