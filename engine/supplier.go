package engine

import (
	"fmt"
	"iter"
	"time"
)

// Bounds of the catalogue.
const (
	MaxProducts       = 2_000_000 // of all suppliers
	MaxSuppliers      = 10_000
	MaxSupplierStock  = 1 << 53 // units: what JSON's numbers hold exactly
	MaxImportProducts = 256     // rows of one edit; its bytes are bounded by the entry
)

// SupplierStock is what a supplier says it has of a product. What all sessions have put up
// of the product never exceeds it, but for units that were held or paid when it was lowered.
type SupplierStock struct {
	Known  bool  // else nothing is said, and nothing is bounded
	Figure int64 // units, 0 to MaxSupplierStock
	// Remaining: Figure is what was left at AsOf, so that units paid before that are not
	// counted again. Else it is all that there ever was, and units paid ever count.
	Remaining bool
	AsOf      Time // of what remains; never before the one that is known, nor after state time
}

// ProductView is a product, and what sessions make of it: a copy, the reader's to keep.
type ProductView struct {
	Product
	RetiredByShop bool // operators retired it, whatever its supplier says
	Offered       bool // some session lists it, maybe one that is over
	Use           ProductUse
}

// ProductUse adds up the listings of a product. Units.
type ProductUse struct {
	// PutUp is what counts against the supplier's figure: all the stock of sessions that
	// are not over, and what is held or paid in those that are.
	PutUp, Held, Paid int64
	// PaidBefore are those of Paid that the supplier's figure does not count again: paid
	// before AsOf, as far as that is known for sure. 0 without Remaining.
	PaidBefore int64
	// Allowance is the most that may be put up, PaidBefore included; -1 without a figure.
	Allowance int64
}

// String gives a figure as people read it.
func (x SupplierStock) String() string {
	switch {
	case !x.Known:
		return "none"
	case x.Remaining:
		return fmt.Sprintf("%d remaining as of %s", x.Figure, x.AsOf.Wall().Format(time.RFC3339Nano))
	}
	return fmt.Sprintf("%d in all", x.Figure)
}

// Over is how many units are put up, held or paid that the supplier does not have any more.
func (u *ProductUse) Over() int64 {
	if u.Allowance < 0 {
		return 0
	}
	return max(0, u.PutUp-u.Allowance)
}

// ProductFilter says which products are looked for. Zero fields don't filter.
type ProductFilter struct {
	Supplier string
	Prefix   string // of the id
	Retired  bool   // those that are retired, too
}

// SupplierInfo is a supplier, and how many products it has.
type SupplierInfo struct {
	ID       string
	Products int64 // retired ones not counted
	Retired  int64
}

// SupplierStockView is what supplier and group say of one product.
type SupplierStockView struct {
	Product string
	Stock   SupplierStock
	ProductUse
}

// ProductImport is what a supplier puts into the catalogue, whole or not at all. No id is in
// two of the rows. Of each row Supplier is ignored: all are of the one that it is for.
type ProductImport struct {
	Replace bool // the supplier's other products go: those that no session offers are deleted, the rest is retired
	// Shrinks: fewer than half of the supplier's products may be left.
	Shrinks bool
	Count   int // of Rows
	// Rows may be walked more than once. What they hold is only read, and must not change.
	Rows   iter.Seq[ProductRow]
	Source string // what the rows came from, for the audit trail; up to MaxIDBytes*2

	By   By
	Note string
	// Committed is told how many rows are on their way, from time to time; nil to be told
	// nothing.
	Committed func(rows int)
}

// ProductImported is what came of an import, or why it was refused.
type ProductImported struct {
	Count   int64 // products that the supplier has now, retired ones not counted
	New     int
	Changed int // of those that were there
	Gone    int // deleted or retired, as Replace says
	// Problems are why nothing was changed, at most MaxProductProblems of them.
	Problems []ProductProblem
}

// MaxProductProblems is how many problems of an import are told.
const MaxProductProblems = 100

// ProductProblem is what is wrong with a row of an import.
type ProductProblem struct {
	Row     int // from 0
	Product string
	Message string // what is wrong, and what would be right
}

// ProductEdit changes the catalogue on behalf of a supplier: rows are staged piece by piece,
// and then count in one step.
type ProductEdit struct {
	Supplier string
	Action   ProductEditAction
	Stage    uint64 // whose staging it is, never 0
	Count    uint32 // ProductsCommit: the rows staged, in all
	Replace  bool   // ProductsCommit: as in ProductImport
	Shrinks  bool   // ProductsCommit: as in ProductImport
	Source   string
	Rows     []ProductRow
}

// ProductEditAction is what an edit of the catalogue does.
type ProductEditAction uint8

// Actions on the catalogue. Their numbers are on disk.
const (
	ProductsStage  ProductEditAction = iota + 1 // a newer staging of a supplier takes the place of its older
	ProductsCommit                              // what was staged is the catalogue from now on
	ProductsDrop                                // what was staged is forgotten
	productEditActionEnd
)

// ProductAction is what operators do to a product.
type ProductAction uint8

// Actions on a product. Their numbers are on disk.
const (
	ProductDelete ProductAction = iota + 1 // one that no session offers
	ProductRetire                          // nothing lists it any more; what does goes on
	ProductRevive
	productActionEnd
)

var productActions = [...]string{"", "delete", "retire", "revive"}

func (a ProductAction) String() string { return nameOf(productActions[:], int(a)) }

// Discarding takes a session or a sale out of sight.
type Discarding struct {
	Sale, Session string // one of them
	Action        DiscardAction
}

// DiscardAction is how something is taken out of sight.
type DiscardAction uint8

// Ways of taking something out of sight. Their numbers are on disk.
const (
	DiscardDelete  DiscardAction = iota + 1 // for good, of one that nothing was sold of
	DiscardArchive                          // it is hidden unless it is asked for
	DiscardRecall                           // from the archive
	discardActionEnd
)

var discardActions = [...]string{"", "delete", "archive", "recall"}

func (a DiscardAction) String() string { return nameOf(discardActions[:], int(a)) }
