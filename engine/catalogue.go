package engine

import (
	"sort"
	"time"
)

// Text is words in several languages, sorted by language (BCP 47: "en", "zh").
type Text []Words

// Words is a text in one language.
type Words struct{ Lang, Text string }

// In gives the text in lang, else in English, else whatever comes first.
func (t Text) In(lang string) string {
	fallback := ""
	for i, w := range t {
		if w.Lang == lang {
			return w.Text
		}
		if i == 0 || w.Lang == "en" {
			fallback = w.Text
		}
	}
	return fallback
}

// Product is an entry of the catalogue.
type Product struct {
	ID        string
	Name      Text
	Image     string
	Supplier  string
	ListPrice int64  // minor units
	Currency  string // ISO 4217
	Place     *Place
	Retired   bool // the supplier has given it up: no session may list it any more
	// Stock is what the supplier says it has. In a plan or an import, one that is not Known
	// leaves what is known.
	Stock SupplierStock
}

// Place is where a product is to be had.
type Place struct{ Latitude, Longitude float64 }

// Sale is a campaign.
type Sale struct {
	ID       string
	Name     Text
	Timezone string // IANA name
	// Months are the first moments of calendar months in Timezone, ascending: the
	// engine has no table of time zones, so the plan brings what it needs.
	Months []Time
	// Offsets are Timezone's from UTC, ascending: what says when a day begins.
	Offsets []Offset
	// Messages are words that shoppers are told in place of the shop's own, by the
	// name of the message, sorted.
	Messages []Message
	// Planned are those that the last plan said: operators change Messages besides.
	Planned []Message
	// Before are those that Messages had in place of what each was changed to last; one
	// without a text was in the shop's words. A plan says nothing of them.
	Before []Message
	// Archived: it is hidden unless it is asked for.
	Archived bool
}

// Offset is a time zone's distance from UTC from a moment on, until the next one's.
type Offset struct {
	From    Time
	Seconds int32 // east
}

// midnight is when the day that at lies in began in the sale's time zone.
func (x *Sale) midnight(at Time) Time {
	const day = 24 * 60 * 60 * 1000
	offset := x.offset(at)
	local := at + offset
	began := local - local%day - offset
	if there := x.offset(began); there != offset { // the clocks were changed since
		began += offset - there
	}
	return began
}

// midnight is when the day began at the sale of a session.
func (s *State) midnight(x *Session) Time { return s.sales[x.Sale].midnight(s.now) }

// offset is what is added to UTC at a moment; before the first one known, the first.
func (x *Sale) offset(at Time) Time {
	if len(x.Offsets) == 0 {
		return 0
	}
	i := sort.Search(len(x.Offsets), func(i int) bool { return x.Offsets[i].From > at })
	return Time(x.Offsets[max(i-1, 0)].Seconds) * 1000
}

// Message is one message of a sale in its own words.
type Message struct {
	Name string
	Text Text
}

// Session is one timed opening of a sale. Its policy fields are what the plan
// says; the rest is how it goes. Readers outside this package must not change it.
type Session struct {
	Handle SessionHandle
	SessionSpec
	Sale     string
	State    SessionState
	Paused   bool
	Archived bool // hidden unless it is asked for
	OpenedAt Time // 0 while it has not
	EndedAt  Time
	// Of a settled one: the entry that sealed it, and when that was.
	Sealed    LogIndex
	SettledAt Time
	Listings  []ListingHandle // in the order of the plan

	orders  table[Order]
	details table[details] // by Order.details - 1
	// settledOrders is how many orders there were when the session was settled, and
	// dropped how many of them the state has let go of since it was cleared.
	settledOrders, dropped uint32
	cleared                bool
	refundsDue             int // orders whose state is RefundDue
	// lives are those that the orders came in, by the first of each. Only an epoch's
	// first order in the session adds one.
	lives []granting
	// expired is the ordinal before which no order is due by its place in line:
	// holds are due in the order of their grant, unless exceptional.
	expired uint32
	lastDue Time // of the holds in line
	// exceptional are the holds whose due time is not in the order of their
	// grant: extended ones, and those after pay_within was shortened.
	exceptional timerHeap
	// draws are the listings whose draw has not closed, by when it does; since the
	// opening.
	draws []ListingHandle
	// asides are the listings that have something set aside, by until when. An entry
	// whose time is not Listing.Aside any more says nothing.
	asides   timerHeap
	bargains bargains
	// restless are the listings whose waitlist or draw goes on with the next batch.
	restless []ListingHandle
	exports  uint32    // of its orders for the warehouse, so far
	parcels  timerHeap // orders that time takes on; an entry that does not fit its order any more says nothing
}

// SessionSpec is what a plan says of a session.
type SessionSpec struct {
	ID                string
	StartSpec         string // as written ("now", "+30s", a date): the same words mean the same start
	Start             Time
	End               Time
	PayWithin         time.Duration
	PayGrace          time.Duration
	LimitPerShopper   uint32 // units across the session's listings; 0 = none
	AdmissionMultiple uint32 // 0 = no quota
	Publish           bool
	Profile           string // of switches, while the session is open; "" = none
	// CouponsUpTo is by how many minor units what a shopper pays may be under the amount due,
	// since a coupon at the cashier pays the rest. 0: not at all.
	CouponsUpTo int64
	// ReceiveWithin is after how long an order that was shipped counts as received, and
	// CompleteWithin after how long one that was received is completed.
	ReceiveWithin, CompleteWithin time.Duration
	// Forecast is how many different shoppers are expected to grab; 0: nobody has said. It
	// decides nothing: the session's report holds it against what came.
	Forecast uint32
}

// Listing is a product offered in a session.
type Listing struct {
	Handle  ListingHandle
	Session SessionHandle
	ListingSpec
	Currency string

	// Stock = Available + Held + Paid. Units.
	Stock, Available, Held, Paid int64
	// Released counts every unit that came back, for the admission quota.
	Released int64
	// Lowest is the least that was ever available, plus what was added since: what
	// shoppers are shown, so that nobody sees stock go up because of a release.
	Lowest int64
	// Shoppers counts the distinct shoppers with live units.
	Shoppers int64
	// Frozen: an invariant broke; nothing changes any more.
	Frozen bool

	// Waiting are the units that shoppers on the waitlist ask for, at most what might still
	// come back when the last of them joined; Entrants those who are in the draw.
	Waiting, Entrants int64
	lastPlace         uint32 // on the waitlist, that was given out
	// Aside is until when what is free is set aside for the head of the waitlist, who asks
	// for more; 0 while nothing is.
	Aside Time
	// Seed decides the draw. Its SHA-256 is known before anybody enters, itself
	// only after the draw.
	Seed [32]byte
	// Draw is how far it has come.
	DrawState DrawState

	// Sold is the most that were ever held and paid; kept where there is a play.
	Sold int64
	// Shipped, Received and Completed are the units among Paid whose delivery has come to
	// that.
	Shipped, Received, Completed int64
	// Bargains are those that were started, until they leave with their session.
	Bargains int64

	waitlist waitlist
	pool     pool // of the draw
	// use is what all sessions make of the product; counted what this listing counts
	// against its supplier's figure.
	use     useNo
	counted int64
	// What the batches so far have seen: the last that touched it, and how it looked.
	touched LogIndex
	looks   ListingState
}

// DrawState is how far a listing's draw has come.
type DrawState uint8

// A draw takes entrants until it closes, decides about them one after the other,
// and is done; after that it is first come, first served. Without a draw it
// stays at the first.
const (
	DrawOpen DrawState = iota
	DrawClosed
	DrawDone
)

var drawStates = [...]string{"open", "closed", "done"}

func (s DrawState) String() string { return nameOf(drawStates[:], int(s)) }

// Challenge is what a shopper must solve to get a ticket.
type Challenge uint8

// Challenges.
const (
	ChallengeNone  Challenge = iota
	ChallengeWork            // proof of work, by their device
	ChallengeImage           // digits in an image, by themselves
)

var challenges = [...]string{"none", "work", "image"}

func (c *Challenge) fields(to *coder) {
	oneOf(to, c, Challenge(len(challenges)), "an unknown challenge")
}

func (c Challenge) String() string { return nameOf(challenges[:], int(c)) }

// ParseChallenge reads the name of a challenge.
func ParseChallenge(name string) (Challenge, bool) { return parse[Challenge](challenges[:], name) }

// ListingSpec is what a plan says of a listing.
type ListingSpec struct {
	SKU             string
	Price           int64 // minor units
	Stock           int64 // as planned; the live figure is Listing.Stock
	Shown           int64 // stock shown at the start; -1 = the real one
	LimitPerShopper uint32
	SortOrder       int32

	LimitPerMonth uint32        // units of the product a shopper, calendar month and sale's time zone; 0 = none
	Reservation   bool          // only those who reserved may buy
	AllowList     string        // only who is on it may buy; "" = everybody
	Waitlist      bool          // released units go to those on the waitlist
	Ticket        bool          // no grab without a ticket
	Challenge     Challenge     // to be solved for a ticket; implies Ticket
	Draw          time.Duration // who comes in this time after the opening is drawn; 0 = no draw
	SetAside      time.Duration // at most, what comes back is set aside for a head of the waitlist that asks for more
	Play          *Play         // nil: a flash sale at Price
	Delivery      Delivery
}

// StateOf tells what the listing l looks like from outside.
func (s *Session) StateOf(l *Listing) ListingState {
	switch {
	case l.Frozen:
		return ListingFrozen
	case s.State == Draft:
		return ListingDraft
	case s.State >= Ended:
		return ListingEnded
	case s.Paused:
		return ListingPaused
	case s.State == Published:
		return ListingPublished
	case l.Available > 0 && l.Waiting == 0: // else it is theirs
		return ListingOpen
	case l.Held > 0 || l.Waiting > 0:
		return ListingSoldOut
	}
	return ListingGone
}
