package wire

import "doorbuster/engine"

// SessionReport is what came of a session: its books, which are exact and the same on every
// node, and what the nodes' doors have counted.
type SessionReport struct {
	Session  string `json:"session"`
	Sale     string `json:"sale"`
	SaleName Text   `json:"sale_name"`
	State    string `json:"state" jsonschema:"enum=open,enum=ended,enum=settled"`
	// Which report it is: so far, while the session is open; once it has ended; once nobody can
	// pay any more; once it is settled, and nothing of it changes any more.
	Stage string `json:"stage" jsonschema:"enum=so_far,enum=ended,enum=paid,enum=settled"`
	// When the doors were asked; of a report that is kept, when it was made.
	Counted  string `json:"counted" jsonschema:"format=date-time"`
	LogIndex uint64 `json:"log_index"` // What the books have.
	Start    string `json:"start" jsonschema:"format=date-time"`
	End      string `json:"end" jsonschema:"format=date-time"` // As it is planned.
	Opened   string `json:"opened" jsonschema:"format=date-time"`
	Ended    string `json:"ended,omitempty" jsonschema:"format=date-time"`

	Forecast ReportForecast  `json:"forecast"`
	Funnel   ReportFunnel    `json:"funnel"`
	SoldOut  ReportSoldOut   `json:"sold_out"`
	Resold   int64           `json:"resold"` // Units that came back and were granted again.
	Books    ReportBooks     `json:"books"`  // Of all listings.
	Currency string          `json:"currency"`
	Listings []ReportListing `json:"listings"`
	Doors    ReportDoors     `json:"doors"`

	// Alarms that were on, new leaders, nodes out of service, switches and whatever operators
	// did while it was open, the oldest first; of very many, the first.
	Incidents     []ReportIncident `json:"incidents"`
	MoreIncidents int              `json:"more_incidents"` // That there was no room for.
	Switches      ReportSwitches   `json:"switches"`
	Notes         []string         `json:"notes"` // What is missing, in sentences.
}

// ReportForecast is what was expected, and what came.
type ReportForecast struct {
	Expected int64 `json:"expected"` // Shoppers, as the plan says; 0: it does not say.
	// Different shoppers who grabbed, to some 3%, at the doors that were counted.
	Came int64 `json:"came"`
}

// ReportFunnel leads from looks to what was delivered. Doors count looks and grabs, which
// shoppers do more than once; the rest are orders.
type ReportFunnel struct {
	Looks int64 `json:"looks"` // At its listings, that no cache has answered.
	// At the list of all sessions, while this one was counted.
	ListLooks int64 `json:"list_looks"`
	Shoppers  int64 `json:"shoppers"` // As in forecast.came.
	Grabs     int64 `json:"grabs"`
	Granted   int64 `json:"granted"`
	Paid      int64 `json:"paid"`
	Shipped   int64 `json:"shipped"`
	Received  int64 `json:"received"`
}

// ReportSoldOut is how long the units lasted. Times are left out where there was none.
type ReportSoldOut struct {
	FirstGrant string `json:"first_grant,omitempty" jsonschema:"format=date-time"`
	// When the last free unit of the listing went for the first time; of a session, of the last
	// of its listings, if all went.
	LastUnit string `json:"last_unit,omitempty" jsonschema:"format=date-time"`
	// To the last unit, in seconds: from the first grant, and from the opening. Left out where
	// something was left.
	Seconds          *float64 `json:"seconds,omitempty"`
	SecondsFromStart *float64 `json:"seconds_from_start,omitempty"`
}

// ReportFigure is orders, their units and their money, in minor units.
type ReportFigure struct {
	Orders int64 `json:"orders"`
	Units  int64 `json:"units"`
	Amount int64 `json:"amount"`
}

// ReportBooks is how often things happened to orders. An order is in each that it went
// through.
type ReportBooks struct {
	Granted    ReportFigure `json:"granted"`
	Paid       ReportFigure `json:"paid"`
	PaidLate   ReportFigure `json:"paid_late"` // Of those.
	Expired    ReportFigure `json:"expired"`
	Cancelled  ReportFigure `json:"cancelled"`
	Voided     ReportFigure `json:"voided"` // Held or paid, taken back by operators, or by the second look.
	RefundsDue ReportFigure `json:"refunds_due"`
	Refunded   ReportFigure `json:"refunded"` // Of those, what the cashier has paid back.
	Shipped    ReportFigure `json:"shipped"`
	Received   ReportFigure `json:"received"`
	Completed  ReportFigure `json:"completed"`
	Waitlisted ReportFigure `json:"waitlisted"` // Places on the waitlist that were taken.
	Entered    ReportFigure `json:"entered"`    // Entries in draws.
}

// ReportListing is the report of one listing.
type ReportListing struct {
	SKU   string `json:"sku"`
	Name  Text   `json:"name"`
	Stock int64  `json:"stock"` // As put up in the end.
	// As they are now, in units.
	Available int64         `json:"available"`
	Held      int64         `json:"held"`
	Paid      int64         `json:"paid"`
	SoldOut   ReportSoldOut `json:"sold_out"`
	Resold    int64         `json:"resold"`
	Books     ReportBooks   `json:"books"`
}

// ReportDoors is what the nodes' doors have counted, added up.
type ReportDoors struct {
	Counted int          `json:"counted"` // Nodes that are in it.
	Of      int          `json:"of"`      // Nodes that have served shoppers, as far as is known.
	Nodes   []ReportNode `json:"nodes"`
	// Grabs by what the shopper was told.
	Answers map[string]int64 `json:"answers"`
	// Grabs that were refused or put off, by the true reason.
	Reasons map[string]int64 `json:"reasons"`
	// Grabs that the gate would have let in, by the worst that risk lists said of the shopper,
	// and the outside risk service where that was asked.
	Risk ReportRisk `json:"risk"`
	// From a grab read whole to its answer ready, by what came of it, and of all.
	Latency map[string]ReportLatency `json:"latency"`
}

// ReportRisk counts grabs by risk level: none, watch, challenge or block.
type ReportRisk struct {
	Lists   map[string]int64 `json:"lists"`
	Service map[string]int64 `json:"service"`
}

// ReportNode says what is known of one node's counting.
type ReportNode struct {
	Node    string `json:"node"`
	Counted bool   `json:"counted"`
	// Since when it has counted: later than the opening if it was started meanwhile.
	Since string `json:"since,omitempty" jsonschema:"format=date-time"`
	Grabs int64  `json:"grabs"`
	Error string `json:"error,omitempty"` // Why it is not in it.
}

// ReportLatency is how long grabs took, to some 10%.
type ReportLatency struct {
	Grabs  int64   `json:"grabs"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
	P999MS float64 `json:"p999_ms"`
}

// ReportIncident is something that happened while the session was open.
type ReportIncident struct {
	What     string          `json:"what" jsonschema:"enum=alarm,enum=leader,enum=drain,enum=deed"`
	Name     string          `json:"name"` // Of the alarm, or of the event as the trail has it.
	At       string          `json:"at" jsonschema:"format=date-time"`
	Until    string          `json:"until,omitempty" jsonschema:"format=date-time"` // Left out while it lasts.
	Severity engine.Severity `json:"severity,omitempty"`
	Node     string          `json:"node,omitempty"`
	About    string          `json:"about,omitempty"`
	Operator string          `json:"operator,omitempty"`
	Session  string          `json:"session,omitempty"` // Of a deed, where it was about one.
	Detail   string          `json:"detail,omitempty"`
	Note     string          `json:"note,omitempty"`
	Times    int             `json:"times,omitempty"` // Deeds alike, one after the other.
}

// ReportSwitches are the switches at the height of the session: in the second with the most
// units granted, or at its end if nothing was. Those that were as they normally are, are left
// out.
type ReportSwitches struct {
	At       string                 `json:"at" jsonschema:"format=date-time"`
	Granted  int64                  `json:"granted"` // Units, in that second.
	Switches map[string]SwitchValue `json:"switches"`
	Profile  string                 `json:"profile,omitempty"` // That the session itself has turned on.
}

// ReportProfile asks for a profile of the switches at the height of a session.
type ReportProfile struct {
	Note
	Name string `json:"name"` // Of the profile; not one that there is with other switches.
}
