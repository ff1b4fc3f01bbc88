package wire

// Play is what is public of the rules that a listing sells by.
type Play struct {
	Kind  string `json:"kind"` // Its template.
	Price string `json:"price" jsonschema:"enum=price_kind"`
	Floor int64  `json:"floor"` // No price is under it. Minor units.
	// Of cut: by about how many friends the floor is reached.
	Friends       uint32 `json:"friends,omitempty"`
	WindowSeconds int64  `json:"window_seconds,omitempty"` // Of cut: how long a bargain is open.
	// Of cut: how often a friend may help a day, where that is bounded.
	PerDay  uint32 `json:"per_day,omitempty"`
	AtFloor *bool  `json:"at_floor,omitempty"` // Of cut: bought only at the floor.
	// Of cut: a unit is the bargain's from its start on.
	UnitSetAside *bool       `json:"unit_set_aside,omitempty"`
	Steps        []PriceStep `json:"steps,omitempty"`         // Of steps.
	EverySeconds int64       `json:"every_seconds,omitempty"` // Of clock: how often the price falls.
	By           int64       `json:"by,omitempty"`            // Of clock: by how much. Minor units.
	// Only for who has bought nothing of the sale that day.
	FirstOfDay bool `json:"first_of_day,omitempty"`
}

// PriceStep is what a unit costs once so many have been sold.
type PriceStep struct {
	Sold  int64 `json:"sold"`
	Price int64 `json:"price"`
}

// BargainRequest is what may be sent to start, cut or buy by a bargain.
type BargainRequest struct {
	Ticket string `json:"ticket,omitempty"` // Of the listing, where it asks for one.
}

// BargainAnswer is what came of starting or cutting a bargain.
type BargainAnswer struct {
	Code    string `json:"code" jsonschema:"enum=bargain_code"`
	Message string `json:"message"` // For the shopper, in their language (Accept-Language: en, zh).
	// cut, already_helped: what the friend took off. Minor units.
	Amount  int64    `json:"amount,omitempty"`
	Bargain *Bargain `json:"bargain,omitempty"`
	Start   string   `json:"start,omitempty" jsonschema:"format=date-time"` // not_open: when it starts.
	// ticket_required: what is to be solved for one.
	Challenge    string `json:"challenge,omitempty" jsonschema:"enum=none,enum=work,enum=image"`
	ChallengeURL string `json:"challenge_url,omitempty"` // ticket_required: where to get it, if anything.
	TicketURL    string `json:"ticket_url,omitempty"`    // ticket_required: where to get a ticket.
	// not_reserved, not_open: of a listing for those who reserve.
	Reservation *WhereToReserve `json:"reservation,omitempty"`
	ResultURL   string          `json:"result_url,omitempty"` // processing: where to look what became of a cut.
}

// Bargain is a shopper's price of one unit of a listing, which their friends cut down.
type Bargain struct {
	Code       string       `json:"code" jsonschema:"pattern=^[0-9A-HJKMNP-TV-Z]{26}$"` // That it is shared by.
	Session    string       `json:"session"`
	SKU        string       `json:"sku"`
	State      string       `json:"state" jsonschema:"enum=bargain"`
	StartPrice int64        `json:"start_price"` // Minor units, as all prices and amounts.
	Price      int64        `json:"price"`       // Reached: the start less the cuts, never under the floor.
	Floor      int64        `json:"floor"`
	Currency   string       `json:"currency"`
	Cuts       uint32       `json:"cuts"`    // That were made.
	Friends    uint32       `json:"friends"` // By about how many the floor is reached.
	ExpiresAt  string       `json:"expires_at" jsonschema:"format=date-time"`
	Recent     []BargainCut `json:"recent" jsonschema:"maxItems=20"` // The newest first.
	// SHA-256 of the seed that the cuts are drawn by.
	Commitment string      `json:"commitment" jsonschema:"pattern=^[0-9a-f]{64}$"`
	Seed       string      `json:"seed,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"` // Once the session has ended.
	Helped     *BargainCut `json:"helped,omitempty"`                                   // To a friend who helped.
	Mine       bool        `json:"mine,omitempty"`                                     // To who started it.
	Order      *Order      `json:"order,omitempty"`                                    // To who started it, once bought.
	ServerTime string      `json:"server_time" jsonschema:"format=date-time"`
}

// BargainCut is what a friend took off.
type BargainCut struct {
	Amount int64  `json:"amount"`
	At     string `json:"at" jsonschema:"format=date-time"`
}

// OpsBargains is a page of bargains, without their cuts.
type OpsBargains struct {
	Bargains []OpsBargain `json:"bargains"`
	Cursor   string       `json:"cursor,omitempty"` // Of the next page.
}

// OpsBargain is a bargain as operators see it.
type OpsBargain struct {
	Code       string `json:"code"`
	Session    string `json:"session"`
	SKU        string `json:"sku"`
	Shopper    string `json:"shopper"` // Who started it.
	State      string `json:"state" jsonschema:"enum=bargain"`
	StartPrice int64  `json:"start_price"` // Minor units, as all prices and amounts.
	Price      int64  `json:"price"`
	Floor      int64  `json:"floor"`
	Currency   string `json:"currency"`
	Cuts       uint32 `json:"cuts"`
	Friends    uint32 `json:"friends"`
	StartedAt  string `json:"started_at" jsonschema:"format=date-time"`
	ExpiresAt  string `json:"expires_at" jsonschema:"format=date-time"`
	OrderNo    string `json:"order_no,omitempty"` // The last that was bought by it.
	Commitment string `json:"commitment" jsonschema:"pattern=^[0-9a-f]{64}$"`
	Seed       string `json:"seed,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"` // Once the session has ended.
	// Every cut, the newest first, of a bargain that is looked into.
	CutsMade []OpsCut `json:"cuts_made,omitempty"`
	Cursor   string   `json:"cursor,omitempty"` // Of the next page of cuts.
}

// OpsCut is a cut as operators see it: its luck is the first eight bytes, big endian, of
// SHA-256(seed, code, number as four bytes).
type OpsCut struct {
	Number uint32 `json:"number" jsonschema:"minimum=1"`
	Friend string `json:"friend"`
	Amount int64  `json:"amount"`
	Weight uint32 `json:"weight"` // Percent.
	New    bool   `json:"new"`    // The friend had never done anything here.
	At     string `json:"at" jsonschema:"format=date-time"`
}

// Plays are the templates that there are.
type Plays struct {
	Plays []PlayTemplate `json:"plays"`
}

// PlayTemplate is a play whose parameters have no values yet.
type PlayTemplate struct {
	ID      string `json:"id"`
	Version uint32 `json:"version" jsonschema:"minimum=1"`
	Since   string `json:"since" jsonschema:"format=date-time"` // When this version was applied.
	Text    string `json:"text"`                                // As it was applied: YAML.
}
