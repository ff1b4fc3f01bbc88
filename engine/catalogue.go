package engine

import "time"

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
}

// Place is where a product is to be had.
type Place struct{ Latitude, Longitude float64 }

// Sale is a campaign.
type Sale struct {
	ID       string
	Name     Text
	Timezone string // IANA name
}

// Session is one timed opening of a sale. Its policy fields are what the plan
// says; the rest is how it goes. Readers outside this package must not change it.
type Session struct {
	Handle SessionHandle
	SessionSpec
	Sale     string
	State    SessionState
	Paused   bool
	OpenedAt Time // 0 while it has not
	EndedAt  Time
	Listings []ListingHandle // in the order of the plan

	orders table[Order]
	// expired is the ordinal before which no order is due by its place in line:
	// holds are due in the order of their grant, unless exceptional.
	expired uint32
	lastDue Time // of the holds in line
	// exceptional are the holds whose due time is not in the order of their
	// grant: extended ones, and those after pay_within was shortened.
	exceptional dueHeap
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
}

// ListingSpec is what a plan says of a listing.
type ListingSpec struct {
	SKU             string
	Price           int64 // minor units
	Stock           int64 // as planned; the live figure is Listing.Stock
	Shown           int64 // stock shown at the start; -1 = the real one
	LimitPerShopper uint32
	SortOrder       int32
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
	case l.Available > 0:
		return ListingOpen
	case l.Held > 0:
		return ListingSoldOut
	}
	return ListingGone
}

// Order is a hold and what becomes of it. 80 bytes, no pointers: there are
// millions of them.
type Order struct {
	Key      Key
	Amount   int64 // minor units
	Granted  Time
	PayBy    Time
	Changed  Time     // when State was last set
	previous OrderRef // the same shopper's order before this one
	Shopper  ShopperNo
	Listing  ListingHandle
	Quantity uint32
	graceMS  uint32
	details  uint32 // where State.details has more of it, from 1; 0 if nowhere
	State    OrderState
	inLine   bool // due in the order of grants; else in Session.exceptional
}

// Due is when an unpaid hold is released: PayBy and the grace.
func (o *Order) Due() Time { return o.PayBy + Time(o.graceMS) }

// Receiver is where an order's goods go.
type Receiver struct{ Name, Phone, Address string }

// details is what only some orders have.
type details struct {
	payment  string    // the id of the payment that it was paid by
	settled  bool      // payment counts, even an empty one
	receiver *Receiver // never changed in place
}
