package wire

// OpsOrder is an order as operators see it.
type OpsOrder struct {
	OrderNo   string `json:"order_no"`
	Shopper   string `json:"shopper"`
	Session   string `json:"session"`
	SKU       string `json:"sku"`
	Quantity  uint32 `json:"quantity" jsonschema:"minimum=1"`
	Amount    int64  `json:"amount"` // Minor units.
	Currency  string `json:"currency"`
	State     string `json:"state" jsonschema:"enum=order"`
	GrantedAt string `json:"granted_at" jsonschema:"format=date-time"`
	PayBy     string `json:"pay_by,omitempty" jsonschema:"format=date-time"` // Once it is granted.
	Position  uint32 `json:"position,omitempty"`                             // In line, of one waiting.
	// Of one left or passed: the true reason.
	Why         string    `json:"why,omitempty"`
	ChangedAt   string    `json:"changed_at" jsonschema:"format=date-time"`
	PaymentID   string    `json:"payment_id,omitempty"`
	Transaction string    `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
	Receiver    *Receiver `json:"receiver,omitempty"`
}

// Receiver is where the goods go.
type Receiver struct {
	Name    string `json:"name" jsonschema:"minLength=1,maxLength=1024"`
	Phone   string `json:"phone" jsonschema:"minLength=1,maxLength=1024"`
	Address string `json:"address" jsonschema:"minLength=1,maxLength=1024"`
}

// OpsOrders is a page of orders.
type OpsOrders struct {
	Orders []OpsOrder `json:"orders"`
	// Of an order_no that leads to no order: it was given out in another life of the
	// group, and a recovery lost the order.
	Lost   *LostOrder `json:"lost,omitempty"`
	Cursor string     `json:"cursor,omitempty"` // Of the next page.
}

// LostOrder is an order that a recovery has lost.
type LostOrder struct {
	Session string `json:"session,omitempty"` // As sessions are numbered here; missing if there are not so many.
	Place   uint32 `json:"place"`             // Among the session's orders.
	Life    string `json:"life"`              // What the numbers of that life end in.
	Says    string `json:"says"`
}

// Waitlist is a page of who waits for a listing.
type Waitlist struct {
	Waiting []OpsOrder `json:"waiting"`
	Cursor  string     `json:"cursor,omitempty"` // Of the next page.
}

// ExtendRequest gives a hold longer to be paid.
type ExtendRequest struct {
	Note
	PayBy string `json:"pay_by" jsonschema:"format=date-time"`
}

// Refunds is a page of the refunds that are due.
type Refunds struct {
	Refunds []Refund `json:"refunds"`
	Asking  bool     `json:"asking"`           // This node asks the cashier, for it leads: only then it knows of tries.
	Cursor  string   `json:"cursor,omitempty"` // Of the next page.
}

// Refund is one that is due.
type Refund struct {
	// What the cashier is told: with the payment it names the refund.
	RefundNo  uint32 `json:"refund_no" jsonschema:"minimum=1"`
	OrderNo   string `json:"order_no"`
	PaymentID string `json:"payment_id"`
	Amount    int64  `json:"amount"` // Minor units.
	Currency  string `json:"currency"`
	// Why it goes back: paid_late, expired (paid in time, told when the hold was gone),
	// cancelled, voided, paid_twice, settled, no_order (it came for no order of the shop).
	Reason string `json:"reason"`
	// By the cashier's clock, where it is known.
	PaidAt      string `json:"paid_at,omitempty" jsonschema:"format=date-time"`
	DueAt       string `json:"due_at" jsonschema:"format=date-time"`
	Transaction string `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
	// How often it was asked for in vain by the node that answers, since it leads; left out
	// without a try, and on nodes that do not ask.
	Tries     int    `json:"tries,omitempty"`
	LastError string `json:"last_error,omitempty"` // What went wrong the last time.
	NextTryAt string `json:"next_try_at,omitempty" jsonschema:"format=date-time"`
}
