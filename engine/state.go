package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// State is all that a Raft group knows at one log index.
type State struct {
	head
	k0, k1 uint64 // the secret, as siphash wants it

	products    products
	plays       map[string]*PlayVersion
	sales       map[string]*Sale
	sessions    []*Session // by handle - 1
	sessionByID map[string]*Session
	listings    []*Listing // by handle - 1
	byName      map[listingName]*Listing

	shoppers directory[OrderRef]
	rosters  map[RosterID]*roster
	board    switchboard
	sinks    []*SinkNote  // by name; neither it nor they are changed in place
	alarms   []*AlarmNote // like sinks

	approvals []*Approval   // by number; like sinks
	records   []*PlanRecord // the last changes by plans and words, the oldest first; like sinks
	undo      *undo         // of the last plan; nil without one, and once it was taken back

	refunds   table[Refund] // by number - 1
	madeUpTo  RefundNo      // every refund up to it has been made
	owed      int           // refunds that are due
	refundsOf map[OrderRef][]RefundNo
	payments  payments        // by paymentKey
	bought    []*bought       // by month
	clearing  []SessionHandle // whose orders are being let go of, ascending
	playing   byShopper       // how many bargains and cuts are a shopper's

	intents  intents
	personal personal

	timers timers
	// tooNew is the version of rules that the log has asked for and this build
	// does not know; 0 while it knows them.
	tooNew uint32

	eff        *Effects  // of the Apply under way
	entry      coder     // of the Apply under way; like the commands here so that it takes no new memory
	commands   []Command // room for those of the Apply under way, empty between
	timerShare int       // what time may do in one batch
	// The constants of these names, except in tests; every 0: each batch lets go.
	clearShare int
	clearEvery Time
	timersLeft int // what is left of that in the batch under way
}

// head is what a state is at.
type head struct {
	index     LogIndex
	now       Time
	rules     uint32
	epoch     Epoch
	sequence  uint64 // of the epoch's last batch
	epochNode string
	life      Life // of the orders granted in the epoch
	secret    [16]byte
	imports   stagingNo // the last staging of an import that there was

	approving    ApprovalRules // of the epoch's leader
	lastApproval ApprovalNo    // that was given out
}

type listingName struct {
	session SessionHandle
	sku     string
}

// NewState gives the state before the first log entry.
func NewState() *State {
	return &State{
		head:        head{rules: 1},
		timerShare:  MaxTimersPerBatch,
		clearShare:  clearShare,
		clearEvery:  clearEvery,
		products:    products{byName: map[string]supplierNo{}, markEvery: markEvery},
		plays:       map[string]*PlayVersion{},
		sales:       map[string]*Sale{},
		sessionByID: map[string]*Session{},
		byName:      map[listingName]*Listing{},
		rosters:     map[RosterID]*roster{},
		refundsOf:   map[OrderRef][]RefundNo{},
		intents:     intents{byKey: map[Key]*deed{}},
		board:       switchboard{now: NormalSwitches(), before: NormalSwitches(), base: NormalSwitches()},
	}
}

// LogIndex is the index of the last entry applied.
func (s *State) LogIndex() LogIndex { return s.index }

// Now is state time.
func (s *State) Now() Time { return s.now }

// Epoch is the open epoch, its last batch's sequence number, and the node that
// leads it.
func (s *State) Epoch() (epoch Epoch, sequence uint64, node string) {
	return s.epoch, s.sequence, s.epochNode
}

// Rules is the version of the rules that the group runs by.
func (s *State) Rules() uint32 { return s.rules }

// NextDue is when time has something to do next; Never if nothing.
func (s *State) NextDue() Time {
	_, at := s.timers.next()
	if s.mustLetGo() || s.mustTake() {
		at = min(at, s.nextShare(s.now))
	}
	return at
}

// KeyOf hashes an idempotency key with the group's secret. Before the first
// epoch there is no secret, and no order to look for.
func (s *State) KeyOf(key []byte) (k Key) { return s.Keyed()(key) }

// Keyed gives KeyOf as a function that needs no lock: the secret does not change
// after the first epoch was opened.
func (s *State) Keyed() func(key []byte) Key {
	k0, k1 := s.k0, s.k1
	return func(key []byte) (k Key) {
		binary.LittleEndian.PutUint64(k[:], siphash.Hash(k0, k1, key))
		return k
	}
}

// Derive gives a secret for one purpose that every node of the group can make and
// nobody else; false before the first epoch.
func (s *State) Derive(purpose string) (secret [32]byte, known bool) {
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte(purpose))
	mac.Sum(secret[:0])
	return secret, s.epoch != 0
}

func (s *State) setSecret(secret [16]byte) {
	s.secret = secret
	s.k0 = binary.LittleEndian.Uint64(secret[:8])
	s.k1 = binary.LittleEndian.Uint64(secret[8:])
	s.shoppers.k0, s.shoppers.k1 = s.k0, s.k1
	s.products.k0, s.products.k1 = s.k0, s.k1
	s.personal.keys.k0, s.personal.keys.k1 = s.k0, s.k1
	s.personal.erasures.k0, s.personal.erasures.k1 = s.k0, s.k1
}

// Session gives a session by id, or nil. It is the state's own: read it under
// the same lock as the state, and don't keep it.
func (s *State) Session(id string) *Session { return s.sessionByID[id] }

// SessionOf gives a session by handle, or nil.
func (s *State) SessionOf(h SessionHandle) *Session {
	if h == 0 || int(h) > len(s.sessions) {
		return nil
	}
	return s.sessions[h-1]
}

// Sessions gives all sessions in the order of their creation, deleted ones too.
func (s *State) Sessions() []*Session { return s.sessions }

// Listing gives a listing by handle, or nil.
func (s *State) Listing(h ListingHandle) *Listing {
	if h == 0 || int(h) > len(s.listings) {
		return nil
	}
	return s.listings[h-1]
}

// ListingOf gives the listing of sku in session, or nil.
func (s *State) ListingOf(session, sku string) *Listing {
	if found := s.sessionByID[session]; found != nil {
		return s.listingIn(found, sku)
	}
	return nil
}

func (s *State) listingIn(session *Session, sku string) *Listing {
	return s.byName[listingName{session.Handle, sku}]
}

// Listings gives all listings in the order of their creation, those of deleted sessions too.
func (s *State) Listings() []*Listing { return s.listings }

// Play gives a template of plays by id, or nil.
func (s *State) Play(id string) *PlayVersion { return s.plays[id] }

// Plays gives all templates of plays in the order of their ids.
func (s *State) Plays() []*PlayVersion { return sorted(s.plays) }

// Sale gives a sale by id, or nil.
func (s *State) Sale(id string) *Sale { return s.sales[id] }

// Sales gives all sales in the order of their ids.
func (s *State) Sales() []*Sale { return sorted(s.sales) }

// ShopperID gives a shopper's id.
func (s *State) ShopperID(no ShopperNo) string {
	if no == 0 || int(no) > s.shoppers.rows.len() {
		return ""
	}
	return s.shoppers.rows.at(int(no) - 1).id
}

// ShopperNo gives a shopper's number, or 0 for one who never changed anything.
func (s *State) ShopperNo(id string) ShopperNo { return s.shoppers.find([]byte(id)) }
