package engine

// Refused is one reason for which a shopper was refused a listing, as the node
// that told them noted it.
type Refused struct {
	Session, SKU string
	Code         Code   // what they were told
	Reason       Reason // the true one
	First, Last  Time   // to the second
	Count        uint32 // how often; MaxRefusedCount stands for more, too
}

// MaxRefusedCount is as far as a journal counts.
const MaxRefusedCount = 1<<16 - 1

// RefusalReport is what one node's journal has of a shopper, and what that is
// worth: a journal is bounded, and forgets the oldest first.
type RefusalReport struct {
	Refused []Refused // newest first
	LeftOut int64     // older ones that one report has no room for

	On       bool   // the node notes refusals
	Since    Time   // it has noted them without a break; 0 if it never did
	Entries  int64  // in use, of all shoppers
	Capacity int64  // entries at most; 0 if the node has no journal
	Lost     uint64 // of all shoppers: entries overwritten, and refusals that could not be noted
}
