package wire

// ReviewRequest asks for the second look at a session's paid orders, or says of some
// what was decided by hand.
type ReviewRequest struct {
	Note
	// By hand: the numbers of these orders, which verdict is for.
	Orders  []string `json:"orders,omitempty" jsonschema:"maxItems=1000"`
	Verdict string   `json:"verdict,omitempty" jsonschema:"enum=pass,enum=hold,enum=reject"`
	// Look at orders that are held, too: lists may have changed. Without it only at those
	// that nobody has looked at.
	Again bool `json:"again,omitempty"`
	// Hold orders that go to one phone or one address and are of this many shoppers or
	// more; 0 holds none for that. 2 without it.
	Shared *int `json:"shared,omitempty" jsonschema:"minimum=0,maximum=1000000"`
	DryRun bool `json:"dry_run,omitempty"` // Only tell what would come of it.
}

// Review is what a second look came to.
type Review struct {
	Session  string `json:"session"`
	DryRun   bool   `json:"dry_run"`
	Looked   int    `json:"looked"` // At so many orders, of which
	Passed   int    `json:"passed"`
	Held     int    `json:"held"`
	Rejected int    `json:"rejected"` // Their money goes back.
	// Orders that changed while they were looked at, such as voided ones; not among the
	// others.
	Changed int            `json:"changed"`
	Reasons []ReviewReason `json:"reasons,omitempty"` // Why orders were held, rejected or noted.
	// Orders held and rejected, the first 1000.
	Orders []ReviewedOrder `json:"orders,omitempty"`
}

// ReviewReason counts the orders that something was found about.
type ReviewReason struct {
	Verdict string `json:"verdict" jsonschema:"enum=pass,enum=hold,enum=reject"`
	Why     string `json:"why"`
	Orders  int    `json:"orders"`
}

// ReviewedOrder is one that was held or rejected.
type ReviewedOrder struct {
	OrderNo string `json:"order_no"`
	Shopper string `json:"shopper"`
	Verdict string `json:"verdict" jsonschema:"enum=hold,enum=reject"`
	Why     string `json:"why"`
}

// ExportRequest asks for an export of what has passed.
type ExportRequest struct {
	Note
	// The number of an export that is only to be told of; a new one without it.
	Export uint32 `json:"export,omitempty"`
}

// Export is a set of orders that went out to the warehouse, for good.
type Export struct {
	Session string `json:"session"`
	Export  uint32 `json:"export"` // Its number in the session; 0 if nothing was left to go out.
	Orders  int    `json:"orders"` // In it by now.
	// Paid orders that passed, need an address, and have none: they stay. The first 1000 by
	// their numbers.
	NoReceiver       int      `json:"no_receiver"`
	NoReceiverOrders []string `json:"no_receiver_orders,omitempty"`
	Unreviewed       int      `json:"unreviewed"` // Paid orders that nobody has looked at: they stay.
	Held             int      `json:"held"`       // Paid orders that are held: they stay.
}

// ExportRow is an order as the warehouse is told of it.
type ExportRow struct {
	OrderNo     string    `json:"order_no"`
	SKU         string    `json:"sku"`
	Quantity    uint32    `json:"quantity" jsonschema:"minimum=1"`
	Delivery    string    `json:"delivery" jsonschema:"enum=delivery"`
	Receiver    *Receiver `json:"receiver,omitempty"` // Missing where none is needed, or it was erased.
	Amount      int64     `json:"amount"`             // Minor units.
	Currency    string    `json:"currency"`
	PaymentType string    `json:"payment_type,omitempty"`
	PaidAt      string    `json:"paid_at,omitempty" jsonschema:"format=date-time"`
	Shopper     string    `json:"shopper"`
	Carrier     string    `json:"carrier,omitempty"`  // Once it is shipped.
	Tracking    string    `json:"tracking,omitempty"` // Once it is shipped.
}

// ParcelsTaken is what came of a file of tracking numbers, or of orders received.
type ParcelsTaken struct {
	Session   string `json:"session"`
	Rows      int    `json:"rows"`
	Changed   int    `json:"changed"`
	Unchanged int    `json:"unchanged"` // They were so already.
}

// Shipping is where the orders of a session are.
type Shipping struct {
	Session    string         `json:"session"`
	State      string         `json:"state" jsonschema:"enum=session"`
	Unreviewed int            `json:"unreviewed"`  // Paid; nobody has taken a second look.
	Held       int            `json:"held"`        // Paid; somebody has to decide.
	NoReceiver int            `json:"no_receiver"` // Paid and passed; they need an address.
	Passed     int            `json:"passed"`      // Paid and passed; the next export has them.
	Exported   int            `json:"exported"`    // Out at the warehouse.
	Shipped    int            `json:"shipped"`
	Received   int            `json:"received"`
	Completed  int            `json:"completed"`
	Rejected   int            `json:"rejected"`   // By the second look.
	RefundDue  int            `json:"refund_due"` // Of the session: money is still to go back.
	Refunded   int            `json:"refunded"`   // Of the session.
	Exports    []ExportCounts `json:"exports"`
}

// ExportCounts is an export, and where its orders are.
type ExportCounts struct {
	Export  uint32 `json:"export"`
	Orders  int    `json:"orders"`
	Waiting int    `json:"waiting"` // For a tracking number.
}
