package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile/archive"
)

// Folder is where a node keeps reports, below its data directory.
const Folder = "session-reports"

const (
	lookEvery = time.Second
	// What was asked before the end is answered before the doors are.
	afterEnd = 2 * time.Second
	// countBefore is from when on doors count a session, before its start.
	countBefore = time.Hour
	// makeWithin is for how long after its end the leader makes the report of a session, which
	// reads its trail; countWithin, for how long doors go on counting it.
	makeWithin  = 48 * time.Hour
	countWithin = 24 * time.Hour
	// atOnce is how many reports are made or fetched in one look.
	atOnce = 4
	// again is after how long one that could not be fetched is asked for again, twice as long
	// each time, up to an hour.
	again, againMost = 2 * time.Second, time.Hour
	// mostBooks are kept in memory, so that who asks again need not wait for all of the trail.
	mostBooks = 64
)

// version of the files.
const version = 1

// Stages of a report, in order.
const (
	soFar = iota
	ended
	paid // nobody can pay any more
	settled
)

var stages = [...]string{"so_far", "ended", "paid", "settled"}

// Told is what one node has told, or why it has not.
type Told struct {
	Node string
	Told []byte
	Err  error
}

// Config is what a Keeper is made of; all are required but Others.
type Config struct {
	Dir     string // made when there is a report
	Node    string
	Tallies *Tallies
	View    func(func(*engine.State))
	Trail   Trail
	// Others asks all other nodes that serve shoppers what their doors have counted of a session,
	// or for the report that they keep; nil on a lone node.
	Others func(ctx context.Context, session string, kept bool) []Told
	Leads  func() bool
	Now    func() engine.Time // by which sessions open and end
	// Alarms gives what is on now, and which nodes are out of service.
	Alarms func() (alarms []engine.Alarm, drained []string)
	Log    *slog.Logger
}

// Keeper counts sessions, and makes and keeps their reports. Its methods are safe for
// concurrent use.
type Keeper struct {
	cfg Config
	log incidents

	tries map[string]try // of Run, by nameOf, of what is due alone

	mu     sync.Mutex
	stages map[string]int // of what is kept, by nameOf; nil before the folder has been read
	books  map[string]*following
}

type try struct {
	at      time.Time
	after   time.Duration
	givenUp bool // it is too old to be made, and nobody had it
}

// errNobody is of a report that this node can't make, and that no other keeps: each said so.
var errNobody = errors.New("it is too long ago to be made, and no node keeps it")

// following are books in memory; who uses them has the lock.
type following struct {
	sync.Mutex
	opened engine.Time
	books  books
	used   time.Time
}

// kept is a report as it is in its file. Figures of listings are of the state.
type kept struct {
	Version int              `json:"version"`
	Session string           `json:"session"`
	Opened  engine.Time      `json:"opened"`
	Stage   int              `json:"stage"`
	Made    engine.Time      `json:"made"`
	Doors   []Counted        `json:"doors"`
	Height  engine.Time      `json:"height"`
	Turned  map[string]int64 `json:"turned"` // switches at the height, by name
	Books   books            `json:"books"`
}

// New makes a Keeper that does nothing until Run.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, tries: map[string]try{}, books: map[string]*following{}}
}

// Run counts and keeps until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		k.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due is a session whose report is due to be kept.
type due struct {
	session string
	name    string // nameOf
	ended   engine.Time
	stage   int
	makes   bool // here, where this node leads
}

// look has what is to be counted counted, and some of what is due made or fetched.
func (k *Keeper) look(ctx context.Context) {
	if err := k.list(); err != nil {
		k.cfg.Log.Warn("the reports of sessions can't be listed", "error", err)
		return
	}
	now := k.cfg.Now()
	count, all, last := k.survey(now)
	k.cfg.Tallies.want(count, last)
	alarms, drained := k.cfg.Alarms()
	k.log.look(onNow(alarms, drained, now), now)
	k.forgetTries(all)
	done, leads := 0, k.cfg.Leads()
	for _, d := range all {
		if done == atOnce || ctx.Err() != nil {
			return
		}
		if t := k.tries[d.name]; t.givenUp || time.Now().Before(t.at) {
			continue
		}
		done++
		if err := k.obtain(ctx, d, leads); err != nil {
			t := k.tries[d.name]
			t.after = min(max(2*t.after, again), againMost)
			t.at = time.Now().Add(t.after)
			t.givenUp = errors.Is(err, errNobody)
			k.tries[d.name] = t
			k.cfg.Log.Debug("the report of a session is not kept yet", "session", d.session, "error", err)
			continue
		}
		delete(k.tries, d.name)
	}
}

// forgetTries forgets those of sessions that nothing is due of any more, as they were deleted.
func (k *Keeper) forgetTries(all []due) {
	if len(k.tries) == 0 {
		return
	}
	is := make(map[string]bool, len(all))
	for i := range all {
		is[all[i].name] = true
	}
	maps.DeleteFunc(k.tries, func(name string, _ try) bool { return !is[name] })
}

// survey finds what is to be counted, the soonest first, and what is due, what ended last
// first: those long past may have no report anywhere. last is the newest session.
func (k *Keeper) survey(now engine.Time) (count []wanted, all []due, last engine.SessionHandle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cfg.View(func(s *engine.State) {
		for _, x := range s.Sessions() {
			last = x.Handle
			if s.Session(x.ID) != x {
				continue
			}
			switch {
			case x.State == engine.Published && now >= x.Start.Add(-countBefore), x.State == engine.Open:
			case x.State < engine.Ended || x.OpenedAt == 0:
				continue
			default:
				name := nameOf(x.ID, x.OpenedAt)
				stage, known := stageOf(s, x, now), k.stages[name]
				if known < stage && now >= x.EndedAt.Add(afterEnd) {
					all = append(all, due{x.ID, name, x.EndedAt, stage, now < x.EndedAt.Add(makeWithin)})
				}
				if known >= paid || now > x.EndedAt.Add(countWithin) {
					continue
				}
			}
			count = append(count, wanted{x.Handle, x.ID, x.Start})
		}
	})
	slices.SortFunc(count, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id))
	})
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(b.ended, a.ended) })
	return count, all, last
}

// stageOf gives how far a session is that has ended.
func stageOf(s *engine.State, x *engine.Session, now engine.Time) int {
	if x.State == engine.Settled {
		return settled
	}
	for _, h := range x.Listings {
		if s.Listing(h).Held > 0 {
			return ended
		}
	}
	if now < x.EndedAt.Add(x.PayWithin+x.PayGrace) {
		return ended // money may come for what was held just now
	}
	return paid
}

// list reads the folder for what is kept here, once.
func (k *Keeper) list() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stages != nil {
		return nil
	}
	entries, err := os.ReadDir(k.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.stages = map[string]int{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		at := strings.LastIndexByte(name, '.')
		if !ok || at < 0 {
			continue
		}
		if stage := slices.Index(stages[:], name[at+1:]); stage > k.stages[name[:at]] {
			k.stages[name[:at]] = stage
		}
	}
	return nil
}

// nameOf names a session's file: one that was deleted may have had the same id.
func nameOf(session string, opened engine.Time) string { return fmt.Sprintf("%s.%d", session, opened) }

func (k *Keeper) path(name string, stage int) string {
	return filepath.Join(k.cfg.Dir, name+"."+stages[stage]+".json")
}

// here gives the report that is kept here, nil if there is none of this session.
func (k *Keeper) here(session string, opened engine.Time) *kept {
	if k.list() != nil {
		return nil
	}
	name := nameOf(session, opened)
	k.mu.Lock()
	stage := k.stages[name]
	k.mu.Unlock()
	if stage == soFar {
		return nil
	}
	text, err := os.ReadFile(k.path(name, stage))
	if err != nil {
		return nil
	}
	return read(text, session, opened)
}

// read gives a report that is one of this session; nil if it is none that this build reads.
func read(text []byte, session string, opened engine.Time) *kept {
	r := new(kept)
	if json.Unmarshal(text, r) != nil || r.Version != version || r.Session != session || r.Opened != opened ||
		r.Stage <= soFar || r.Stage > settled {
		return nil
	}
	if r.Books.Listings == nil {
		r.Books.Listings = map[string]*listingBook{}
	}
	return r
}

// keep writes a report, in place of those of earlier stages.
func (k *Keeper) keep(r *kept) error {
	name := nameOf(r.Session, r.Opened)
	text, err := json.Marshal(r)
	if err == nil {
		err = archive.KeepFile(k.path(name, r.Stage), text)
	}
	if err != nil {
		return err
	}
	for stage := ended; stage < r.Stage; stage++ {
		_ = os.Remove(k.path(name, stage)) // the later one counts
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stages[name] = r.Stage
	return nil
}

// elsewhere gives the latest report that another node keeps, nil if none does, and whether
// all of them answered.
func (k *Keeper) elsewhere(ctx context.Context, session string, opened engine.Time) (best *kept, all bool) {
	if k.cfg.Others == nil {
		return nil, true
	}
	all = true
	for _, told := range k.cfg.Others(ctx, session, true) {
		if told.Err != nil {
			all = false
			continue
		}
		if r := read(told.Told, session, opened); r != nil && (best == nil || r.Stage > best.Stage) {
			best = r
		}
	}
	return best, all
}

// obtain has the report of a session kept here: made, or another node's.
func (k *Keeper) obtain(ctx context.Context, d due, leads bool) error {
	x, ok := k.session(d.session)
	if !ok {
		return errors.New("there is no such session any more")
	}
	known, answered := k.here(d.session, x.opened), false
	if known == nil || !leads || !d.makes {
		var told *kept
		told, answered = k.elsewhere(ctx, d.session, x.opened)
		if told != nil && (known == nil || told.Stage > known.Stage) {
			if err := k.keep(told); err != nil {
				return err
			}
			known = told
		}
	}
	switch {
	case known != nil && known.Stage >= d.stage:
		return nil
	case !d.makes && answered:
		return errNobody
	case !leads || !d.makes:
		return errors.New("nobody has it yet")
	}
	made, err := k.makeKept(ctx, x, known)
	if err != nil {
		return err
	}
	made.Stage = d.stage
	if err := k.keep(made); err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	k.cfg.Log.Info("report of a session kept", "session", d.session, "stage", stages[d.stage])
	return nil
}

// makeKept makes a report of what is known now; before is an earlier one, nil without.
func (k *Keeper) makeKept(ctx context.Context, x *sessionFacts, before *kept) (*kept, error) {
	r := &kept{Version: version, Session: x.view.Session, Opened: x.opened, Made: x.now, Doors: k.doors(ctx, x)}
	if before != nil {
		r.Doors = merge(before.Doors, r.Doors)
	}
	if err := k.follow(x, before, &r.Books); err != nil {
		return nil, err
	}
	r.Height, r.Turned = r.Books.Height, nil
	if r.Height == 0 {
		if r.Height = x.now; x.ended != 0 {
			r.Height = x.ended - 1 // its own profile goes with the end
		}
	}
	if before != nil && before.Height == r.Height {
		r.Turned = before.Turned // what was known then: changes are forgotten after a while
	} else {
		r.Turned = turnedAt(&x.board, r.Height.Add(time.Second-time.Millisecond), x)
	}
	return r, nil
}

// turnedAt gives the switches that were not as they normally are at a time.
func turnedAt(b *engine.SwitchboardView, at engine.Time, x *sessionFacts) map[string]int64 {
	if x.ended != 0 {
		at = min(at, x.ended-1)
	}
	then := b.Now
	for i := len(b.History) - 1; i >= 0 && b.History[i].At > at; i-- {
		then = b.History[i].Before
	}
	turned := map[string]int64{}
	for i, v := range then {
		if w := engine.Switch(i); v != w.Normal() {
			turned[w.String()] = v
		}
	}
	return turned
}

// follow brings the books of a session up to date, and copies them.
func (k *Keeper) follow(x *sessionFacts, known *kept, to *books) error {
	id := x.view.Session
	k.mu.Lock()
	f := k.books[id]
	if f == nil || f.opened != x.opened {
		f = &following{opened: x.opened}
		k.books[id] = f
		k.forgetBooks()
	}
	f.used = time.Now()
	k.mu.Unlock()
	f.Lock()
	defer f.Unlock()
	if known != nil && f.books.Next.Before(known.Books.Next) {
		f.books = known.Books
	}
	if err := f.books.follow(k.cfg.Trail, id); err != nil {
		return err
	}
	text, err := json.Marshal(&f.books)
	if err != nil {
		return err
	}
	*to = books{}
	return json.Unmarshal(text, to)
}

// forgetBooks keeps those that were used last; who asks for others waits for the trail.
func (k *Keeper) forgetBooks() {
	for len(k.books) > mostBooks {
		oldest := ""
		for id, f := range k.books {
			if oldest == "" || f.used.Before(k.books[oldest].used) {
				oldest = id
			}
		}
		delete(k.books, oldest)
	}
}

// doors asks all nodes what they have counted.
func (k *Keeper) doors(ctx context.Context, x *sessionFacts) []Counted {
	all := []Counted{k.counted(x)}
	if k.cfg.Others == nil {
		return all
	}
	for _, told := range k.cfg.Others(ctx, x.view.Session, false) {
		c := Counted{}
		if told.Err == nil {
			told.Err = json.Unmarshal(told.Told, &c)
		}
		if told.Err != nil {
			c = Counted{Error: told.Err.Error()}
		}
		c.Node = told.Node
		all = append(all, c)
	}
	return all
}

func (k *Keeper) counted(x *sessionFacts) Counted {
	c := k.cfg.Tallies.Counted(x.handle)
	c.Node, c.Incidents = k.cfg.Node, k.log.within(x.opened, x.ended)
	return c
}

// merge takes in what nodes count now beside what they have counted before: that of a node that
// was started since, or can't be asked, is what it was.
func merge(before, now []Counted) []Counted {
	all := slices.Clone(now)
	for _, c := range before {
		at := slices.IndexFunc(all, func(n Counted) bool { return n.Node == c.Node })
		switch {
		case at < 0:
			all = append(all, c)
		case c.Since != 0 && (all[at].Since == 0 || all[at].Since > c.Since):
			c.Incidents = together(append(c.Incidents, all[at].Incidents...))
			all[at] = c
		}
	}
	return all
}

// AboutSession answers another node: what is counted here of a session, or the report of it,
// null if none is kept here.
func (k *Keeper) AboutSession(session string, keeps bool) ([]byte, error) {
	x, ok := k.session(session)
	switch {
	case !ok:
		return nil, errors.New("no such session is known here")
	case !keeps:
		c := k.counted(x)
		return json.Marshal(&c)
	}
	return json.Marshal(k.here(session, x.opened)) // null is an answer, too: who asks need not ask again
}
