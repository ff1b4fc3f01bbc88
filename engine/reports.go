package engine

// What nodes ask each other of the reports of reconciliations that each keeps.

// MaxReportPieceBytes bounds a piece of a report that one node gives another.
const MaxReportPieceBytes = 512 << 10

// ReportsRequest asks for the list of a node's reports, or, if ID is not "", for a
// piece of that one from a byte on: of its findings, or of what it says as a whole.
type ReportsRequest struct {
	ID       string // ValidID
	Findings bool
	From     int64
}

// ReportsPage is the list, the newest first, or a piece.
type ReportsPage struct {
	Kept  []KeptReport
	Piece []byte
}

// KeptReport is a report, and the length of its two parts in bytes.
type KeptReport struct {
	ID              string
	Whole, Findings int64
}
