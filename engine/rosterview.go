package engine

import "iter"

// RosterName is a roster as operators name it. It has a session and SKU if Kind is
// RosterReserved, and a name of its own if it is RosterAllowed.
type RosterName struct {
	Kind         RosterKind
	Name         string
	Session, SKU string
}

// RosterInfo is a roster and how many it names.
type RosterInfo struct {
	RosterName
	Count int64
}

// RosterImport is what an operator puts into a roster. Rows were found valid
// (ValidRosterRow), and no id is in two of them.
type RosterImport struct {
	Replace bool // the rows take the place of all there were, in one step
	Count   int  // of Rows
	Rows    iter.Seq[RosterEntry]

	Source string // what the rows came from, for the audit trail; up to MaxIDBytes*2

	By   By
	Note string
	// Committed is told how many rows are on their way for good, from time to time;
	// nil to be told nothing.
	Committed func(rows int)
}

// RosterImported is what came of an import.
type RosterImported struct {
	Count   int64 // that the roster names now
	Changed int   // rows that the roster did not have so already; of a replacement all, or none
	Removed int   // of these, those that took somebody off
}

// Take counts a row that changed the roster.
func (i *RosterImported) Take(row RosterEntry) {
	i.Changed++
	i.Removed += btoi(row.Level == LevelNone)
}
