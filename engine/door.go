package engine

import "net/netip"

// DoorRules is what the door must know of a listing before it lets a grab in,
// switches taken into account.
type DoorRules struct {
	Session   SessionHandle // 0: there is no such listing
	Listing   ListingHandle
	State     ListingState
	Ticket    bool      // no grab without a ticket
	Challenge Challenge // to be solved for one
	// Reservation: only who has reserved, before Start, may buy.
	Reservation bool
	Start       Time
	// Closed tells why the gate would let nobody new in, who asks for one unit and
	// would rather join the waitlist; ReasonNone if it would.
	Closed Reason
}

// Visitor is who stands before the door, as far as risk lists care.
type Visitor struct {
	Shopper []byte
	Addr    netip.Addr // zero if not known
	Phone   Canonical  // "" if not known
	Address Canonical  // postal; "" if not known
	// PhoneHash and AddressHash are by what rosters find the two; zero if they are not known.
	PhoneHash, AddressHash Blind
}

// Canonical is a phone number or a postal address in the one form in which rosters
// have it (hashed, where they are), so that it can be compared with them. Whoever reads what people write
// brings it into that form first.
type Canonical string
