package wire

// OpsOrder is an order as operators see it.
type OpsOrder struct {
	OrderNo  string `json:"order_no"`
	Shopper  string `json:"shopper"`
	Session  string `json:"session"`
	SKU      string `json:"sku"`
	Quantity uint32 `json:"quantity" jsonschema:"minimum=1"`
	Amount   int64  `json:"amount"` // Minor units.
	Currency string `json:"currency"`
	// What of it the shopper paid, where a coupon at the cashier paid the rest.
	AmountPaid *int64 `json:"amount_paid,omitempty"`
	State      string `json:"state" jsonschema:"enum=order"`
	GrantedAt  string `json:"granted_at" jsonschema:"format=date-time"`
	PayBy      string `json:"pay_by,omitempty" jsonschema:"format=date-time"` // Once it is granted.
	Position   uint32 `json:"position,omitempty"`                             // In line, of one waiting.
	// Of one left or passed: the true reason.
	Why         string    `json:"why,omitempty"`
	ChangedAt   string    `json:"changed_at" jsonschema:"format=date-time"`
	PaymentID   string    `json:"payment_id,omitempty"`
	Transaction string    `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
	PaymentType string    `json:"payment_type,omitempty"` // As the cashier calls it.
	Receiver    *Receiver `json:"receiver,omitempty"`     // Viewers see it masked.
	// Of one that is not told: erased, or unreadable, where this node's key file lacks the key.
	ReceiverState string `json:"receiver_state,omitempty" jsonschema:"enum=erased,enum=unreadable"`
	// How it comes to the shopper; missing where the shop sees to that elsewhere.
	Delivery string `json:"delivery,omitempty" jsonschema:"enum=delivery"`
	// What the second look came to, and why; missing before it.
	Review    string `json:"review,omitempty" jsonschema:"enum=passed,enum=held,enum=rejected"`
	ReviewWhy string `json:"review_why,omitempty"`
	// The number of the session's export that it went out with.
	Export      uint32 `json:"export,omitempty"`
	Carrier     string `json:"carrier,omitempty"`
	Tracking    string `json:"tracking,omitempty"`
	ShippedAt   string `json:"shipped_at,omitempty" jsonschema:"format=date-time"`
	ReceivedAt  string `json:"received_at,omitempty" jsonschema:"format=date-time"`
	CompletedAt string `json:"completed_at,omitempty" jsonschema:"format=date-time"`
}

// Receiver is where the goods go. Bounds are bytes.
type Receiver struct {
	Name  string `json:"name" jsonschema:"minLength=1,maxLength=128"`
	Phone string `json:"phone" jsonschema:"minLength=1,maxLength=64"`
	// ISO 3166, two capital letters, such as CN.
	Country  string `json:"country,omitempty" jsonschema:"pattern=^[A-Z][A-Z]$"`
	Province string `json:"province,omitempty" jsonschema:"maxLength=128"`
	City     string `json:"city,omitempty" jsonschema:"maxLength=128"`
	District string `json:"district,omitempty" jsonschema:"maxLength=128"`
	Street   string `json:"street" jsonschema:"minLength=1,maxLength=512"`
	PostCode string `json:"post_code,omitempty" jsonschema:"maxLength=32"`
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
