package wire

// Products is a page of the catalogue.
type Products struct {
	Products []Product `json:"products"`
	Cursor   string    `json:"cursor,omitempty"` // Of the next page; not there at the end.
}

// Product is a thing that sessions offer.
type Product struct {
	ID        string `json:"id"`
	Name      Text   `json:"name"`
	Image     string `json:"image,omitempty"`
	Supplier  string `json:"supplier,omitempty"`
	ListPrice int64  `json:"list_price"`
	Currency  string `json:"currency"`
	Place     *Place `json:"place,omitempty"`
	// No session may list it any more: its supplier has given it up, or operators have.
	Retired       bool           `json:"retired,omitempty"`
	RetiredByShop bool           `json:"retired_by_shop,omitempty"` // Operators have.
	Stock         *SupplierStock `json:"stock,omitempty"`           // What its supplier says it has.
	Use           *ProductUse    `json:"use,omitempty"`             // Where a session lists it, or has.
}

// SupplierStock is what a supplier says it has: all that there ever was, or what was left at a
// time, so that what was paid before is not counted again.
type SupplierStock struct {
	Total     *int64 `json:"total,omitempty"`
	Remaining *int64 `json:"remaining,omitempty"`
	AsOf      string `json:"as_of,omitempty" jsonschema:"format=date-time"` // Of what is remaining.
}

// ProductUse is what all sessions make of a product, in units.
type ProductUse struct {
	// What counts against the supplier's stock: all that is put up in sessions that are not
	// over, and what is held or paid in those that are.
	PutUp      int64  `json:"put_up"`
	Held       int64  `json:"held"`
	Paid       int64  `json:"paid"`
	PaidBefore int64  `json:"paid_before"`         // Of those paid, the ones that remaining does not count again.
	Allowance  *int64 `json:"allowance,omitempty"` // The most that may be put up; not there without a stock.
	Over       int64  `json:"over,omitempty"`      // Units that are put up, held or paid beyond it.
}

// Suppliers are those that have products.
type Suppliers struct {
	Suppliers []Supplier `json:"suppliers"`
}

// Supplier is one, and how many products it has.
type Supplier struct {
	ID       string `json:"id"`
	Products int64  `json:"products"` // Retired ones not counted.
	Retired  int64  `json:"retired"`
}

// ProductsImport is what came of a catalogue that was taken in.
type ProductsImport struct {
	Supplier string `json:"supplier"`
	Action   string `json:"action" jsonschema:"enum=replace,enum=change"`
	Rows     int    `json:"rows"`
	New      int    `json:"new"`
	Changed  int    `json:"changed"` // Of those that were there.
	Gone     int    `json:"gone"`    // Deleted or retired, for the rows replace all there were and lack them.
	Count    int64  `json:"count"`   // Products that the supplier has now, retired ones not counted.
}

// Discarded is what was deleted, retired or archived, or taken back.
type Discarded struct {
	ID     string `json:"id"`
	Action string `json:"action" jsonschema:"enum=delete,enum=retire,enum=revive,enum=archive,enum=recall"`
}

// StockReport is a supplier's figures held against ours.
type StockReport struct {
	Supplier string `json:"supplier"`
	Rows     int    `json:"rows"`  // Products in what the supplier said.
	Agree    int    `json:"agree"` // Of which both say the same.
	// How many differences there are of each kind: unknown_to_us, unknown_to_supplier,
	// no_figure_here, no_figure_there, stock (both say something else), time (what was paid
	// since the supplier counted may be all the difference), and over (more is held or paid
	// than the supplier has).
	Counts      map[string]int    `json:"counts"`
	Differences []StockDifference `json:"differences"` // The first 10000.
	Verdict     string            `json:"verdict"`
}

// StockDifference is one product of which a supplier and we say something else.
type StockDifference struct {
	Product  string         `json:"product"`
	Kind     string         `json:"kind"`
	Line     int            `json:"line,omitempty"`     // Where the supplier says so.
	Theirs   *SupplierStock `json:"theirs,omitempty"`   // As they say now.
	Ours     *SupplierStock `json:"ours,omitempty"`     // As they said last.
	Use      *ProductUse    `json:"use,omitempty"`      // What sessions make of it.
	Expected *int64         `json:"expected,omitempty"` // What we would have expected them to say.
}

// Text by language (BCP 47).
type Text map[string]string

// Place is where something is to be had, in degrees.
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Sales are all of them.
type Sales struct {
	Sales []Sale `json:"sales"`
}

// Sale is a campaign.
type Sale struct {
	ID       string `json:"id"`
	Name     Text   `json:"name"`
	Timezone string `json:"timezone"`
	Archived bool   `json:"archived,omitempty"`
}

// OpsSessions are all sessions, drafts and ended ones too.
type OpsSessions struct {
	Sessions []OpsSession `json:"sessions"`
}

// OpsSession is a session as operators see it.
type OpsSession struct {
	ID                string       `json:"id"`
	Sale              string       `json:"sale"`
	SaleName          Text         `json:"sale_name"`
	State             string       `json:"state" jsonschema:"enum=session"`
	Paused            bool         `json:"paused"`
	Archived          bool         `json:"archived,omitempty"`
	Start             string       `json:"start" jsonschema:"format=date-time"`
	End               string       `json:"end" jsonschema:"format=date-time"` // As it is planned.
	EndedAt           string       `json:"ended_at,omitempty" jsonschema:"format=date-time"`
	PayWithinSeconds  float64      `json:"pay_within_seconds"`
	PayGraceSeconds   float64      `json:"pay_grace_seconds"`
	LimitPerShopper   uint32       `json:"limit_per_shopper"`
	AdmissionMultiple uint32       `json:"admission_multiple"`
	Listings          []OpsListing `json:"listings"`
	// Names in its plan that point to nothing: a profile, allow lists. Only where it is
	// asked for, not after a change.
	Findings []PlanProblem `json:"findings,omitempty"`
}

// OpsListing is a listing as operators see it.
type OpsListing struct {
	SKU             string  `json:"sku"`
	Name            Text    `json:"name"`
	Price           int64   `json:"price"`
	ListPrice       int64   `json:"list_price"`
	Currency        string  `json:"currency"`
	Shown           int64   `json:"shown"` // Stock as shoppers are shown it.
	State           string  `json:"state" jsonschema:"enum=listing"`
	LimitPerShopper uint32  `json:"limit_per_shopper"`
	SortOrder       int32   `json:"sort_order"`
	Draw            bool    `json:"draw,omitempty"`        // Who gets a unit is drawn.
	Waitlist        bool    `json:"waitlist,omitempty"`    // It has a line.
	Reservation     bool    `json:"reservation,omitempty"` // Only those who have reserved may buy.
	Counts          *Counts `json:"counts,omitempty"`
}

// Counts are a listing's exact counts at a log index: stock = available + held + paid.
type Counts struct {
	Session    string `json:"session"`
	SKU        string `json:"sku"`
	Stock      int64  `json:"stock"`
	Available  int64  `json:"available"`
	Held       int64  `json:"held"`
	Paid       int64  `json:"paid"`
	Waitlisted int64  `json:"waitlisted"` // Units waited for in line.
	Entrants   int64  `json:"entrants"`   // Of a draw, not decided yet.
	Reserved   int64  `json:"reserved"`   // Shoppers who have reserved.
	Shoppers   int64  `json:"shoppers"`   // Distinct shoppers with live or paid units.
	State      string `json:"state" jsonschema:"enum=listing"`
	LogIndex   uint64 `json:"log_index"`
}

// Note is what a change may say of why it is made.
type Note struct {
	Note string `json:"note,omitempty" jsonschema:"maxLength=1024"` // Why, for the audit trail.
}

// Why gives the note.
func (n Note) Why() string { return n.Note }

// StockRequest puts more units up, or takes free ones away.
type StockRequest struct {
	Note
	// Below 0 takes free units away; not 0.
	Units *int64 `json:"units" jsonschema:"minimum=-1000000000,maximum=1000000000"`
}

// PlanChanges is what a plan changed, or would.
type PlanChanges struct {
	Applied bool         `json:"applied"`
	DryRun  bool         `json:"dry_run"`
	Changes []PlanChange `json:"changes"`
	// What forbids nothing, and whoever applies the plan should know: what operators have
	// changed and stays, names of profiles and lists that nobody has defined.
	Notes []PlanProblem `json:"notes,omitempty"`
	// Of a dry run: why a second operator must approve it.
	NeedsApproval []string `json:"needs_approval,omitempty"`
}

// PlanChange is one difference that a plan makes.
type PlanChange struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Messages are what shoppers are told.
type Messages struct {
	Messages []Message `json:"messages"`
}

// Message is one thing that shoppers are told.
type Message struct {
	Name         string          `json:"name"`
	Placeholders []string        `json:"placeholders"` // What it may have filled in, each in braces.
	Shop         Text            `json:"shop"`         // The shop's own words.
	Sales        map[string]Text `json:"sales"`        // The own words of sales that have some, by sale.
}

// MessageRequest gives a sale its own words for a message.
type MessageRequest struct {
	Text Text `json:"text"` // A language that is left out is in the shop's words.
}
