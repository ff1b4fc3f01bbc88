package wire

// Now is the time that sales open and end by.
type Now struct {
	UnixMS int64 `json:"unix_ms"`
}

// Sessions is a page of sessions, near first where the shopper says where they are.
type Sessions struct {
	Sessions   []Session `json:"sessions"`
	Cursor     string    `json:"cursor,omitempty"` // Of the next page; absent at the end.
	Later      int       `json:"later,omitempty"`  // How many start after the horizon, or until; absent if none.
	ServerTime string    `json:"server_time" jsonschema:"format=date-time"`
}

// Session is one timed opening of a sale.
type Session struct {
	ID               string    `json:"id"`
	Sale             string    `json:"sale"`
	Name             string    `json:"name"`
	State            string    `json:"state" jsonschema:"enum=published,enum=open,enum=paused,enum=ended"`
	Start            string    `json:"start" jsonschema:"format=date-time"`
	End              string    `json:"end" jsonschema:"format=date-time"`
	PayWithinSeconds int64     `json:"pay_within_seconds"`
	LimitPerShopper  uint32    `json:"limit_per_shopper"`
	Listings         []Listing `json:"listings"`
}

// Listing is an item that a session offers.
type Listing struct {
	Session   string `json:"session"`
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Image     string `json:"image,omitempty"`
	Price     int64  `json:"price"` // What a unit costs now, that no friend has cut.
	ListPrice int64  `json:"list_price"`
	Currency  string `json:"currency"`
	// Stock shown; may differ from the real one. It never rises from one look to the next,
	// on whichever node, unless operators add to it.
	Stock           int64  `json:"stock"`
	State           string `json:"state" jsonschema:"enum=listing"`
	Start           string `json:"start" jsonschema:"format=date-time"`
	End             string `json:"end" jsonschema:"format=date-time"`
	LimitPerShopper uint32 `json:"limit_per_shopper"`
	// Units of the product a calendar month. This and the members below are there only where
	// the listing has the rule.
	LimitPerMonth uint32 `json:"limit_per_month,omitempty"`
	Reservation   bool   `json:"reservation,omitempty"` // Only who reserves before the start may buy.
	AllowList     bool   `json:"allow_list,omitempty"`  // Only who is on a list may buy.
	Waitlist      bool   `json:"waitlist,omitempty"`
	Ticket        bool   `json:"ticket,omitempty"`                                      // No grab without a ticket.
	Challenge     string `json:"challenge,omitempty" jsonschema:"enum=work,enum=image"` // To be solved for a ticket.
	Draw          *Draw  `json:"draw,omitempty"`
	Play          *Play  `json:"play,omitempty"` // Missing for a flash sale.
	Place         *Place `json:"place,omitempty"`
	Distance      *int64 `json:"distance_m,omitempty"` // From ?near, in metres.
	ServerTime    string `json:"server_time,omitempty" jsonschema:"format=date-time"`
}

// Draw is what is told of any draw.
type Draw struct {
	State string `json:"state" jsonschema:"enum=open,enum=closed,enum=done"`
	// SHA-256 of the seed, told beforehand.
	Commitment string `json:"commitment" jsonschema:"pattern=^[0-9a-f]{64}$"`
	// When it closes; once the session is open.
	DrawAt string `json:"draw_at,omitempty" jsonschema:"format=date-time"`
	Seed   string `json:"seed,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"` // Once it has closed.
}

// DrawPage is a page of a draw, with entries once the seed is told.
type DrawPage struct {
	Draw
	Session    string      `json:"session"`
	SKU        string      `json:"sku"`
	Stock      int64       `json:"stock"`
	Undecided  int64       `json:"undecided"`         // Who entered, and has heard nothing yet.
	Entries    []DrawEntry `json:"entries,omitempty"` // In the order of their arrival.
	Cursor     string      `json:"cursor,omitempty"`  // Of the next page.
	ServerTime string      `json:"server_time" jsonschema:"format=date-time"`
}

// OpsDraw is a page of a draw as operators see it.
type OpsDraw struct {
	Draw
	Session   string      `json:"session"`
	SKU       string      `json:"sku"`
	Stock     int64       `json:"stock"`
	Undecided int64       `json:"undecided"` // Who entered, and has heard nothing yet.
	Entries   []DrawEntry `json:"entries"`   // In the order of their arrival, with the true reasons.
	Cursor    string      `json:"cursor,omitempty"`
}

// DrawEntry is one entrant and what became of them.
type DrawEntry struct {
	OrderNo  string `json:"order_no"`
	Quantity uint32 `json:"quantity"` // Units asked for.
	Late     bool   `json:"late"`     // Came when the draw had closed: after all others, by arrival.
	State    string `json:"state"`
	// Of one left or passed: to shoppers the code that they were told, to operators and in a
	// draw's file the true reason.
	Why string `json:"why,omitempty"`
}

// GrabRequest asks for units of a listing.
type GrabRequest struct {
	Quantity int    `json:"quantity,omitempty" jsonschema:"minimum=1,maximum=1000000,default=1"`
	Ticket   string `json:"ticket,omitempty"`
	Waitlist bool   `json:"waitlist,omitempty"`
}

// GrabAnswer is the outcome of a grab.
type GrabAnswer struct {
	Code    string `json:"code" jsonschema:"enum=code"`
	Message string `json:"message"` // For the shopper, in their language (Accept-Language: en, zh).
	Order   *Order `json:"order,omitempty"`
	Start   string `json:"start,omitempty" jsonschema:"format=date-time"` // not_open: when it starts.
	// waitlisted: how many are in line up to and with this one. It never goes up.
	Position uint32 `json:"position,omitempty"`
	// waitlisted: in about how long the turn will come, where anything is known of that.
	EstimateSeconds *int64 `json:"estimate_seconds,omitempty"`
	// waitlisted, entered: the number that the place is known by; an order's, once it is
	// granted.
	Entry  string `json:"entry,omitempty"`
	DrawAt string `json:"draw_at,omitempty" jsonschema:"format=date-time"` // entered: when the draw closes.
	// ticket_required: what is to be solved for one.
	Challenge    string `json:"challenge,omitempty" jsonschema:"enum=none,enum=work,enum=image"`
	ChallengeURL string `json:"challenge_url,omitempty"` // ticket_required: where to get it, if anything.
	TicketURL    string `json:"ticket_url,omitempty"`    // ticket_required: where to get a ticket.
	// not_reserved, not_open: of a listing for those who reserve.
	Reservation *WhereToReserve `json:"reservation,omitempty"`
	// processing, waitlisted, entered: where to ask what became of it; of a place, by its
	// entry.
	ResultURL string `json:"result_url,omitempty"`
}

// WhereToReserve is whether one can reserve, and until when.
type WhereToReserve struct {
	Open  bool   `json:"open"`
	Until string `json:"until" jsonschema:"format=date-time"`
	URL   string `json:"url"`
}

// Order is what a shopper sees of a grant, or of a place in line or in a draw.
type Order struct {
	OrderNo         string `json:"order_no"`
	Session         string `json:"session"`
	SKU             string `json:"sku"`
	Quantity        uint32 `json:"quantity" jsonschema:"minimum=1"`
	Amount          int64  `json:"amount"` // Minor units.
	Currency        string `json:"currency"`
	State           string `json:"state" jsonschema:"enum=order"`
	PayBy           string `json:"pay_by,omitempty" jsonschema:"format=date-time"`
	GrantedAt       string `json:"granted_at,omitempty" jsonschema:"format=date-time"`
	ChangedAt       string `json:"changed_at,omitempty" jsonschema:"format=date-time"`
	Position        uint32 `json:"position,omitempty"`         // Of one waiting.
	EstimateSeconds *int64 `json:"estimate_seconds,omitempty"` // Of one waiting, where anything is known of that.
	// Of one left or passed: the code that says how it ended.
	Outcome  string    `json:"outcome,omitempty"`
	Receiver *Receiver `json:"receiver,omitempty"`
	// How it comes to the shopper; missing where the shop sees to that elsewhere.
	Delivery string `json:"delivery,omitempty" jsonschema:"enum=delivery"`
	Carrier  string `json:"carrier,omitempty"`  // Once it is shipped.
	Tracking string `json:"tracking,omitempty"` // The carrier's number.
	// When it was shipped, received and completed.
	ShippedAt   string `json:"shipped_at,omitempty" jsonschema:"format=date-time"`
	ReceivedAt  string `json:"received_at,omitempty" jsonschema:"format=date-time"`
	CompletedAt string `json:"completed_at,omitempty" jsonschema:"format=date-time"`
	// Of a held order: what the shopper carries to the cashier. A JWS with order_no, amount,
	// currency, exp and txn.
	PayToken string `json:"pay_token,omitempty"`
	// Ties looks, grab, order and payment together.
	Transaction string `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
}

// Orders is a page of a shopper's own orders, the newest first.
type Orders struct {
	Orders []Order `json:"orders"`
	Cursor string  `json:"cursor,omitempty"` // Of the next page.
}

// Challenge is something to solve for a ticket. Work is what ALTCHA's widget reads; an
// image shows digits.
type Challenge struct {
	Type         string `json:"type" jsonschema:"enum=work,enum=image"`
	Algorithm    string `json:"algorithm,omitempty"`
	Challenge    string `json:"challenge,omitempty"`
	MaxNumber    int64  `json:"maxnumber,omitempty"`
	MaxNumberToo int64  `json:"maxNumber,omitempty"`
	Salt         string `json:"salt,omitempty"`
	Signature    string `json:"signature,omitempty"`
	Token        string `json:"token,omitempty"` // Goes back with the answer.
	Image        string `json:"image,omitempty"` // A data URL with a PNG.
}

// Solution is of a challenge.
type Solution struct {
	// Of work: the base64 text that ALTCHA's widget makes.
	Solution string `json:"solution,omitempty" jsonschema:"maxLength=4096"`
	Token    string `json:"token,omitempty" jsonschema:"maxLength=4096"`
	Answer   string `json:"answer,omitempty" jsonschema:"maxLength=64"` // The digits of the image.
}

// Ticket is to grab with.
type Ticket struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expires_at" jsonschema:"format=date-time"`
}

// Reservation is a shopper's registration for a listing.
type Reservation struct {
	Session  string `json:"session"`
	SKU      string `json:"sku"`
	Reserved bool   `json:"reserved"`
	Start    string `json:"start" jsonschema:"format=date-time"`
}

// Receipt is what became of money, and the order as it is now, if it is for one.
type Receipt struct {
	// refund_due: there is no unit for it, and the money goes back. unchanged: this payment
	// was known.
	Outcome string `json:"outcome" jsonschema:"enum=paid,enum=refund_due,enum=unchanged"`
	Order   *Order `json:"order,omitempty"` // Missing where the money is for no order of the shop: it goes back.
}

// PayToken is one to be checked.
type PayToken struct {
	Token string `json:"token" jsonschema:"maxLength=4096"`
}

// PayTokenVerdict is whether a payment token is good; if so with its order, else with why
// not.
type PayTokenVerdict struct {
	Valid  bool   `json:"valid"`
	Order  *Order `json:"order,omitempty"`
	Why    string `json:"why,omitempty" jsonschema:"enum=pay_token"`
	Detail string `json:"detail,omitempty"`
}
