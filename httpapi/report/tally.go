package report

import (
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"doorbuster/engine"
)

// MostSessions is how many sessions doors count at once.
const MostSessions = 256

const (
	chunkSessions = 256
	chunks        = 512 // of sessions that a Tallies knows, by their handles
	spares        = 8   // for sessions that nobody has told of yet
	registers     = 1024
	// Durations are counted in four buckets an octave, from 8 µs to half a minute.
	firstOctave, octaves = 13, 22
	buckets              = octaves * 4
)

// Classes of grabs, by what they wait for.
const (
	Granted = iota // a quorum
	Refused        // nothing
	Undecided
	classes
)

var classNames = [classes]string{"granted", "refused", "processing"}

// Sources of what there is to fear from a shopper.
const (
	ByLists = iota
	ByService
	sources
)

const levels = int(engine.LevelBlock) + 1

// Tally counts what doors do of one session. Its methods neither wait nor allocate, and are
// safe for concurrent use; on nil they do nothing.
type Tally struct {
	since   time.Time
	listsAt uint64 // looks at the list when it began
	reasons int

	looks   atomic.Uint64
	answers []atomic.Uint64 // by code and reason
	took    [classes][buckets]atomic.Uint64
	risk    [sources][levels]atomic.Uint64
	// seen is a HyperLogLog of shoppers (Flajolet and others: HyperLogLog, AofA 2007).
	seen [registers]atomic.Uint32
}

// Answered counts a grab that was answered; took is under 0 where nobody knows.
func (t *Tally) Answered(a *engine.Answer, took time.Duration, shopper []byte) {
	if t == nil {
		return
	}
	if i := int(a.Code)*t.reasons + int(a.Reason); int(a.Reason) < t.reasons && i < len(t.answers) {
		t.answers[i].Add(1)
	}
	if took >= 0 {
		t.took[classOf(a.Code)][bucketOf(took)].Add(1)
	}
	h := xxhash.Sum64(shopper)
	rank := uint32(bits.TrailingZeros64(h|1<<53)) + 1
	seen := &t.seen[h>>54]
	for known := seen.Load(); rank > known && !seen.CompareAndSwap(known, rank); known = seen.Load() {
	}
}

// Looked counts a look at one of its listings.
func (t *Tally) Looked() {
	if t != nil {
		t.looks.Add(1)
	}
}

// Feared counts a grab of a shopper at a risk level.
func (t *Tally) Feared(source int, level engine.Level) {
	if t != nil && int(level) < levels {
		t.risk[source][level].Add(1)
	}
}

func classOf(code engine.Code) int {
	switch code {
	case engine.CodeGranted, engine.CodeWaitlisted, engine.CodeEntered:
		return Granted
	case engine.CodeProcessing:
		return Undecided
	}
	return Refused
}

// bucketOf gives the bucket of a duration: four an octave.
func bucketOf(took time.Duration) int {
	n := uint64(max(took, 1))
	octave := bits.Len64(n) - 1
	if octave < firstOctave {
		return 0
	}
	return min((octave-firstOctave)*4+int(n>>(octave-2)&3), buckets-1)
}

// bounds gives what durations a bucket has, in nanoseconds.
func bounds(bucket int) (from, to float64) {
	at := func(i int) float64 { return math.Ldexp(1+float64(i%4)/4, firstOctave+i/4) }
	if bucket == 0 {
		return 0, at(1)
	}
	return at(bucket), at(bucket + 1)
}

// tallyPage is some sessions' tallies, by their handles.
type tallyPage [chunkSessions]atomic.Pointer[Tally]

// Tallies are those of the sessions that are counted. Its methods are safe for concurrent use;
// those on the way of a request neither wait nor allocate, and on nil they do nothing.
type Tallies struct {
	pages   [chunks]atomic.Pointer[tallyPage]
	byID    atomic.Pointer[map[string]*Tally]
	lists   atomic.Uint64 // looks at the list of sessions
	nobody  Tally         // in place of those of sessions that are not counted
	spare   chan *Tally
	codes   int
	reasons int
	clock   func() time.Time

	mu      sync.Mutex
	counted map[engine.SessionHandle]string // those that were wanted, and their ids
}

// NewTallies makes Tallies that count what comes first: see Want.
func NewTallies() *Tallies {
	t := &Tallies{spare: make(chan *Tally, spares), codes: len(engine.Codes()), reasons: len(engine.Reasons()),
		clock: time.Now, counted: map[engine.SessionHandle]string{}}
	t.byID.Store(&map[string]*Tally{})
	t.pages[0].Store(new(tallyPage))
	for range spares {
		t.spare <- t.fresh()
	}
	return t
}

func (t *Tallies) fresh() *Tally {
	return &Tally{since: t.clock(), listsAt: t.lists.Load(), reasons: t.reasons,
		answers: make([]atomic.Uint64, t.codes*t.reasons)}
}

// at gives the place of a session, nil where there is none yet.
func (t *Tallies) at(h engine.SessionHandle) *atomic.Pointer[Tally] {
	i := int(h)
	if h == 0 || i >= chunks*chunkSessions {
		return nil
	}
	page := t.pages[i/chunkSessions].Load()
	if page == nil {
		return nil
	}
	return &page[i%chunkSessions]
}

// Of gives the tally of a session, nil if it is not counted. One that Want has not told of yet
// is counted from now on.
func (t *Tallies) Of(h engine.SessionHandle) *Tally {
	if t == nil {
		return nil
	}
	at := t.at(h)
	if at == nil {
		return nil
	}
	switch one := at.Load(); one {
	case nil:
		return t.begin(at)
	case &t.nobody:
		return nil
	default:
		return one
	}
}

// begin has a session counted that is so new that nobody has said whether it is to be.
func (t *Tallies) begin(at *atomic.Pointer[Tally]) *Tally {
	select {
	case one := <-t.spare:
		if at.CompareAndSwap(nil, one) {
			return one
		}
		select {
		case t.spare <- one:
		default:
		}
		if one = at.Load(); one != &t.nobody {
			return one
		}
	default:
	}
	return nil
}

// Looked counts a look at a listing of the session of an id.
func (t *Tallies) Looked(session []byte) {
	if t != nil {
		(*t.byID.Load())[string(session)].Looked()
	}
}

// Listed counts a look at the list of all sessions.
func (t *Tallies) Listed() {
	if t != nil {
		t.lists.Add(1)
	}
}

// wanted is a session that is to be counted.
type wanted struct {
	handle engine.SessionHandle
	id     string
	start  engine.Time
}

// want has these sessions counted, as many of them as there is room for, and of those with
// handles up to last no other. Those that are counted already stay.
func (t *Tallies) want(sessions []wanted, last engine.SessionHandle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 0; i <= min(int(last)/chunkSessions+1, chunks-1); i++ {
		if t.pages[i].Load() == nil {
			t.pages[i].Store(new(tallyPage))
		}
	}
	ids := map[engine.SessionHandle]string{}
	for _, w := range sessions {
		ids[w.handle] = w.id
	}
	// What counts already and is wanted stays; all else has to go before others find room.
	counted := map[engine.SessionHandle]string{}
	for h := engine.SessionHandle(1); h <= last; h++ {
		at := t.at(h)
		if at == nil {
			break
		}
		one := at.Load()
		id, yes := ids[h]
		switch {
		case yes && one != nil && one != &t.nobody && len(counted) < MostSessions:
			counted[h] = id
		case !yes && one != &t.nobody:
			at.Store(&t.nobody)
		}
	}
	names := map[string]*Tally{}
	for _, w := range sessions {
		at := t.at(w.handle)
		if at == nil {
			continue
		}
		if counted[w.handle] == "" && len(counted) < MostSessions {
			if one := at.Load(); one == nil || one == &t.nobody {
				at.CompareAndSwap(one, t.fresh()) // else it has begun just now
			}
			counted[w.handle] = w.id
		}
		if counted[w.handle] == "" {
			at.Store(&t.nobody)
		} else {
			names[w.id] = at.Load()
		}
	}
	t.counted = counted
	t.byID.Store(&names)
	for len(t.spare) < min(spares, MostSessions-len(counted)) {
		select {
		case t.spare <- t.fresh():
		default:
			return
		}
	}
}

// Counted is what one node's doors have counted of a session.
type Counted struct {
	Node  string `json:"node"`
	Since int64  `json:"since"` // Unix milliseconds; 0: it has counted nothing of it
	Looks int64  `json:"looks"`
	Lists int64  `json:"lists"`
	// Answers by code and reason, Took by class and bucket, Risk by source and level.
	Answers map[string]map[string]int64 `json:"answers"`
	Took    map[string]map[int]int64    `json:"took"`
	Risk    [sources]map[string]int64   `json:"risk"`
	Seen    []byte                      `json:"seen"` // registers
	// Incidents that the node has seen in the session's time.
	Incidents []incident `json:"incidents"`
	Error     string     `json:"error,omitempty"` // why it could not be asked; the rest is empty then
}

// Counted gives what has been counted of a session so far.
func (t *Tallies) Counted(h engine.SessionHandle) (c Counted) {
	at := t.at(h)
	if at == nil {
		return c
	}
	one := at.Load()
	if one == nil || one == &t.nobody {
		return c
	}
	c = Counted{Since: one.since.UnixMilli(), Looks: int64(one.looks.Load()),
		Lists:   int64(t.lists.Load() - one.listsAt),
		Answers: map[string]map[string]int64{}, Took: map[string]map[int]int64{}, Seen: make([]byte, registers)}
	for i := range one.answers {
		if n := one.answers[i].Load(); n > 0 {
			add(c.Answers, engine.Code(i/t.reasons).String(), engine.Reason(i%t.reasons).String(), int64(n))
		}
	}
	for class := range one.took {
		for i := range one.took[class] {
			if n := one.took[class][i].Load(); n > 0 {
				add(c.Took, classNames[class], i, int64(n))
			}
		}
	}
	for source := range one.risk {
		c.Risk[source] = map[string]int64{}
		for level := range one.risk[source] {
			if n := one.risk[source][level].Load(); n > 0 {
				c.Risk[source][engine.Level(level).String()] = int64(n)
			}
		}
	}
	for i := range one.seen {
		c.Seen[i] = byte(one.seen[i].Load())
	}
	return c
}

func add[K comparable](to map[string]map[K]int64, name string, key K, n int64) {
	if to[name] == nil {
		to[name] = map[K]int64{}
	}
	to[name][key] += n
}

// grabs is how many were answered.
func (c *Counted) grabs() (n int64) {
	for _, reasons := range c.Answers {
		for _, of := range reasons {
			n += of
		}
	}
	return n
}

// estimate gives how many different shoppers registers have seen, to 3.25%.
func estimate(seen []byte) int64 {
	const m = registers
	sum, zeros := 0.0, 0
	for _, rank := range seen {
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			zeros++
		}
	}
	if len(seen) != m {
		return 0
	}
	const alpha = 0.7213 / (1 + 1.079/m)
	n := alpha * m * m / sum
	if n <= 2.5*m && zeros > 0 {
		n = m * math.Log(m/float64(zeros))
	}
	return int64(math.Round(n))
}

// quantile gives under what so much of all durations in buckets are, in milliseconds.
func quantile(took map[int]int64, q float64) float64 {
	total := int64(0)
	at := make([]int, 0, len(took))
	for i, n := range took {
		total, at = total+n, append(at, i)
	}
	slices.Sort(at)
	left := q * float64(total)
	for _, i := range at {
		n := float64(took[i])
		if left <= n {
			from, to := bounds(i)
			return (from + (to-from)*left/n) / 1e6
		}
		left -= n
	}
	return 0
}
