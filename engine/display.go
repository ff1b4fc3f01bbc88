package engine

import "time"

// Counts are a listing's exact figures at a log index.
type Counts struct {
	Session, SKU                                     string
	Stock, Available, Held, Paid, Released, Shoppers int64
	Waiting, Entrants                                int64 // units waited for on the waitlist; shoppers in the draw
	Reserved                                         int64 // shoppers who have reserved
	State                                            ListingState
	LogIndex                                         LogIndex
}

// ListingView is a listing as the display path shows it.
type ListingView struct {
	Session, SKU     string
	Name             Text
	Image            string
	Price, ListPrice int64
	Currency         string
	Stock            int64 // shown; never goes up for those who look
	State            ListingState
	Start, End       Time
	LimitPerShopper  uint32
	SortOrder        int32
	Place            *Place

	LimitPerMonth uint32
	Reservation   bool
	AllowList     bool // only who is on one may buy
	Waitlist      bool
	Ticket        bool
	Challenge     Challenge
	Draw          time.Duration // 0 = none
	DrawAt        Time          // when it closes; 0 before the opening
	DrawState     DrawState
	Commitment    [32]byte // SHA-256 of Seed; of a listing with a draw, or whose price friends cut
	Seed          [32]byte // once the draw has closed
	Play          *Play    // nil: a flash sale. Price is what a unit costs now
	Delivery      Delivery
}

// SessionView is a session with its listings.
type SessionView struct {
	ID, Sale          string
	SaleName          Text
	State             SessionState
	Paused            bool
	Start, End        Time
	EndedAt           Time // 0 until it has
	PayWithinMS       int64
	PayGraceMS        int64
	LimitPerShopper   uint32
	AdmissionMultiple uint32
	Profile           string
	Archived          bool // hidden unless it is asked for
	CouponsUpTo       int64
	ReceiveWithin     time.Duration
	CompleteWithin    time.Duration
	Listings          []ListingView
	// Findings are what operators should look into: only where they are asked for.
	Findings []Problem
}

// CountsOf gives the exact figures of l.
func (s *State) CountsOf(l *Listing) Counts {
	x := s.sessions[l.Session-1]
	return Counts{Session: x.ID, SKU: l.SKU, Stock: l.Stock, Available: l.Available, Held: l.Held, Paid: l.Paid,
		Released: l.Released, Shoppers: l.Shoppers, Waiting: l.Waiting, Entrants: l.Entrants,
		Reserved: s.Rosters().Count(RosterID{Kind: RosterReserved, Listing: l.Handle}), State: x.StateOf(l),
		LogIndex: s.index}
}
