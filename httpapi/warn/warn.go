package warn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks/webhook"
)

// MaxReceivers of a node.
const MaxReceivers = 16

// Receiver is who hears of alarms.
type Receiver struct {
	Name string
	URL  string
	// Severity wake: of alarms to wake for alone, until they are acknowledged, in turn with the
	// other receivers of it; tell: of all, once.
	Severity    engine.Severity
	Body        *Body
	ContentType string
	Header      http.Header
	// Signers sign, each with a signature of its own; they are asked for each time.
	Signers func() ([]*standardwebhooks.Webhook, error)
	Timeout time.Duration
	Allow   []netip.Prefix // inner addresses that may be posted to
}

// Config says what is sent to whom. All without a default is required.
type Config struct {
	Cluster   string // which group it is, for whoever hears of several
	Node      string // this one
	Receivers []Receiver
	Alarms    func() []engine.Alarm // with their severities
	Notes     func() []*engine.AlarmNote
	// Duty is whether this node sends.
	Duty func() Duty
	// Heal notes that an acknowledged alarm is over.
	Heal func(ctx context.Context, x engine.AlarmChange) error
	// Repeat is how often an alarm to wake for is repeated until it is acknowledged. Default 5
	// min. PassOn is how long a receiver has for that before the next one hears, too. Default 15
	// min.
	Repeat, PassOn time.Duration
	// After is how long an alarm must be on before it is sent, and Calm for how long it must be
	// off before it is over: one that flickers is one. Default 1 s and 10 s.
	After, Calm time.Duration
	Every       time.Duration // how often alarms are looked at; default 500 ms
	// Backoff is how long after the first failure a receiver is asked again; twice as long after
	// each further, up to 1 min. Default 1 s.
	Backoff time.Duration
	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default: nowhere
}

// Defaults of Config.
const (
	DefaultRepeat = 5 * time.Minute
	DefaultPassOn = 15 * time.Minute
)

func or[T comparable](field *T, unset T) {
	var zero T
	if *field == zero {
		*field = unset
	}
}

// Duty is whether a node sends.
type Duty uint8

// Duties.
const (
	Off     Duty = iota // another node sends
	Leads               // this node leads, and sends
	StandIn             // no node leads, and this one says so
)

// Sender sends alarms. Its methods are safe for concurrent use.
type Sender struct {
	cfg   Config
	lines []*line
	pages map[string]*page // by name and whose
	duty  Duty             // at the last look
	since time.Time        // when it became so
	heals time.Time        // from when on it may be noted again that alarms are over
}

// page is an alarm that is on, or was until just now.
type page struct {
	alarm   engine.Alarm
	seen    time.Time // the first look that found it
	began   time.Time // when it began; seen if that is not known
	standIn bool      // this node found it while none led
	earlier bool      // it may have been on under another leader
	gone    time.Time // the first look that did not find it; zero while it is on

	begun   bool   // whoever hears of all alarms has been told
	told    []bool // by receiver: it has heard of it
	times   int
	sent    time.Time // the last of the messages to wake somebody
	reached int       // how many receivers of severity wake have heard
	passed  time.Time // when the last of them first did
	acked   bool
}

// line is a receiver, and what it has yet to hear.
type line struct {
	Receiver
	poster *webhook.Poster

	mu      sync.Mutex
	waiting []letter
	wake    chan struct{}
	failing atomic.Pointer[failure]

	sent, failed atomic.Uint64
}

type failure struct {
	since time.Time
	why   string
}

// letter is a message to one receiver. A later one about the same alarm takes its place.
type letter struct {
	of, id string
	m      Message
}

// New makes a Sender that does nothing until Run.
func New(cfg Config) (*Sender, error) {
	or(&cfg.Repeat, DefaultRepeat)
	or(&cfg.PassOn, DefaultPassOn)
	or(&cfg.After, time.Second)
	or(&cfg.Calm, 10*time.Second)
	or(&cfg.Every, 500*time.Millisecond)
	or(&cfg.Backoff, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Alarms == nil || cfg.Notes == nil || cfg.Duty == nil || cfg.Heal == nil ||
		len(cfg.Receivers) > MaxReceivers {
		return nil, fmt.Errorf("warn: Alarms, Notes, Duty and Heal must be there, and at most %d Receivers",
			MaxReceivers)
	}
	s := &Sender{cfg: cfg}
	for _, r := range cfg.Receivers {
		if r.Body == nil || r.Signers == nil || r.Timeout <= 0 {
			return nil, errors.New("warn: a Receiver needs a Body, Signers and a Timeout")
		}
		s.lines = append(s.lines, &line{Receiver: r, wake: make(chan struct{}, 1),
			poster: webhook.NewPoster(webhook.PosterConfig{URL: r.URL, ContentType: r.ContentType, Header: r.Header,
				Timeout: r.Timeout, Connections: 1, Allow: r.Allow})})
	}
	return s, nil
}

// Run sends until ctx ends, once in the life of a Sender.
func (s *Sender) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range s.lines {
		all.Go(func() { s.deliver(ctx, l) })
	}
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.look(ctx, s.cfg.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	all.Wait()
}

// earlierFor is for how long after a node has come to lead an alarm may be one that another
// leader knew already, and since when it is on says nothing.
const earlierFor = time.Minute

// look finds what is to be said now.
func (s *Sender) look(ctx context.Context, now time.Time) {
	duty := s.cfg.Duty()
	if duty != s.duty {
		s.duty, s.since = duty, now
	}
	if s.pages == nil {
		s.pages = map[string]*page{}
	}
	on := map[string]bool{}
	for _, a := range s.cfg.Alarms() {
		of := string(a.Name) + " " + a.Whose()
		on[of] = true
		p := s.pages[of]
		if p == nil {
			p = &page{seen: now, began: a.Since, told: make([]bool, len(s.lines))}
			if a.Since.IsZero() {
				p.began = now
			}
			p.standIn = duty == StandIn
			p.earlier = duty == Leads && now.Sub(s.since) < earlierFor
			s.pages[of] = p
		}
		p.alarm, p.gone = a, time.Time{}
	}
	notes := map[engine.AlarmName]*engine.AlarmNote{}
	for _, n := range s.cfg.Notes() {
		notes[n.Name] = n
	}
	over := map[*engine.AlarmNote][]string{} // acknowledged, and over
	for of, p := range s.pages {
		if !on[of] && p.gone.IsZero() {
			p.gone = now
		}
		if duty == Off && p.gone.IsZero() && p.begun && p.standIn {
			continue // no other node may have told of it; that it is over is for this one to say
		}
		if duty == Off && p.gone.IsZero() { // whoever has the duty tells of it
			delete(s.pages, of)
			for _, l := range s.lines {
				l.forget(of)
			}
			continue
		}
		n := notes[p.alarm.Name]
		s.see(of, p, n, now)
		if !p.gone.IsZero() && now.Sub(p.gone) >= s.cfg.Calm {
			delete(s.pages, of)
			if n != nil && slices.Contains(n.Of, p.alarm.Whose()) && duty == Leads {
				over[n] = append(over[n], p.alarm.Whose())
			}
		}
	}
	if duty == Leads && now.Sub(s.since) >= earlierFor {
		for name, n := range notes { // what was over while leaders changed, too, and what was not noted then
			over[n] = slices.DeleteFunc(slices.Clone(n.Of), func(whose string) bool {
				return s.pages[string(name)+" "+whose] != nil
			})
		}
	}
	s.heal(ctx, over, now)
}

// A look takes this long at most for what is over, and leaves it be for a while after a
// failure: alarms that begin come first.
const (
	healPatience = time.Second
	healAgain    = 10 * time.Second
)

// heal notes that acknowledged alarms are over.
func (s *Sender) heal(ctx context.Context, over map[*engine.AlarmNote][]string, now time.Time) {
	ctx, stop := context.WithTimeout(ctx, healPatience)
	defer stop()
	for n, of := range over {
		if len(of) == 0 || now.Before(s.heals) {
			continue
		}
		x := engine.AlarmChange{Name: n.Name, Action: engine.AlarmOver, Of: of}
		if err := s.cfg.Heal(ctx, x); err != nil {
			s.heals = now.Add(healAgain)
			s.cfg.Logger.Warn("it is not noted that an acknowledged alarm is over", "name", x.Name, "error", err)
		}
	}
}

// see says what is to be said of one alarm.
func (s *Sender) see(of string, p *page, n *engine.AlarmNote, now time.Time) {
	if n != nil && n.Until.Wall().After(now) {
		return // silent
	}
	if !p.gone.IsZero() {
		if now.Sub(p.gone) >= s.cfg.Calm && slices.Contains(p.told, true) {
			s.say(of, p, Over, "", func(i int) bool { return p.told[i] })
		}
		return
	}
	if now.Sub(p.seen) < s.cfg.After {
		return
	}
	if by, acked := acknowledged(p, n); acked {
		if !p.acked && p.reached > 0 {
			s.say(of, p, Acknowledged, by, func(i int) bool { return p.told[i] })
		}
		p.acked = true
	}
	chain := s.chain()
	woken := p.alarm.Severity == engine.SeverityWake
	if !p.begun {
		p.begun = true
		for i, l := range s.lines {
			p.told[i] = l.Severity == engine.SeverityTell && !(woken && slices.Contains(chain, i))
		}
		if p.acked { // another leader has said so
			if woken && len(chain) > 0 {
				p.told[chain[0]] = true
			}
			return
		}
		s.say(of, p, Begins, "", func(i int) bool { return p.told[i] })
	}
	if !woken || p.acked || len(chain) == 0 {
		return
	}
	switch {
	case p.reached == 0 || p.reached < len(chain) && now.Sub(p.passed) >= s.cfg.PassOn:
		before, next := chain[:p.reached], chain[p.reached]
		p.reached, p.passed, p.sent, p.told[next] = p.reached+1, now, now, true
		s.say(of, p, Begins, "", func(i int) bool { return i == next })
		s.say(of, p, Repeats, "", func(i int) bool { return slices.Contains(before, i) })
	case now.Sub(p.sent) >= s.cfg.Repeat:
		p.sent = now
		s.say(of, p, Repeats, "", func(i int) bool { return slices.Contains(chain[:p.reached], i) })
	}
}

// chain are the receivers that are woken, in turn; where none is there for that, whoever
// there is.
func (s *Sender) chain() (chain []int) {
	for i, l := range s.lines {
		if l.Severity == engine.SeverityWake {
			chain = append(chain, i)
		}
	}
	for i := range s.lines {
		if len(chain) == 0 || s.lines[chain[0]].Severity == engine.SeverityTell {
			chain = append(chain, i)
		}
	}
	return chain
}

// acknowledged reports whether an alarm is one that an operator has acknowledged.
func acknowledged(p *page, n *engine.AlarmNote) (by string, is bool) {
	if n == nil || n.Acked == 0 || !slices.Contains(n.Of, p.alarm.Whose()) {
		return "", false
	}
	return n.By, p.earlier || !p.began.After(n.Acked.Wall())
}

// say gives the receivers that hear of it a letter each.
func (s *Sender) say(of string, p *page, event, by string, hears func(i int) bool) {
	k := engine.KindOf(p.alarm.Name)
	p.times++
	m := Message{Event: event, Cluster: s.cfg.Cluster, From: s.cfg.Node, Alarm: string(p.alarm.Name),
		Severity: string(p.alarm.Severity),
		Node:     p.alarm.Node, About: p.alarm.About, Detail: p.alarm.Detail, Advice: p.alarm.Advice, Means: k.Means,
		Do: k.Do, Since: p.began.UTC(), By: by, Times: p.times}
	m.withText()
	for i, l := range s.lines {
		if !hears(i) {
			continue
		}
		sum := sha256.Sum256([]byte(strings.Join([]string{s.cfg.Cluster, of, p.began.UTC().Format(time.RFC3339Nano),
			event, l.Name, strconv.Itoa(p.times)}, "\n")))
		l.put(letter{of, "alarm_" + hex.EncodeToString(sum[:16]), m})
	}
}

// put has a letter sent after those about other alarms, and in place of one about its own:
// what is in line is bounded by the alarms there are.
func (l *line) put(x letter) {
	l.mu.Lock()
	l.waiting = slices.DeleteFunc(l.waiting, func(y letter) bool { return y.of == x.of })
	l.waiting = append(l.waiting, x)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// forget drops what waits about an alarm.
func (l *line) forget(of string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(y letter) bool { return y.of == of })
}

func (l *line) first() (x letter, there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return x, false
	}
	return l.waiting[0], true
}

// arrived takes a letter out, unless another has taken its place.
func (l *line) arrived(x letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(y letter) bool { return y.id == x.id })
}

// later puts a letter that does not arrive behind the others, which may.
func (l *line) later(x letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.waiting, func(y letter) bool { return y.id == x.id }); i >= 0 {
		l.waiting = append(slices.Delete(l.waiting, i, i+1), x)
	}
}

const mostBackoff = time.Minute

// deliver sends what one receiver is to hear, one after the other, until it has.
func (s *Sender) deliver(ctx context.Context, l *line) {
	defer l.poster.Close()
	wait := s.cfg.Backoff
	for {
		x, there := l.first()
		if !there {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			}
			continue
		}
		rest, err := l.send(ctx, &x)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			l.sent.Add(1)
			l.arrived(x)
			l.failing.Store(nil)
			wait = s.cfg.Backoff
			continue
		}
		l.failed.Add(1)
		l.later(x)
		f := &failure{since: s.cfg.Now(), why: err.Error()}
		if before := l.failing.Load(); before != nil {
			f.since = before.since
		} else {
			s.cfg.Logger.Warn("a warning does not arrive; it is sent again", "receiver", l.Name, "error", err)
		}
		l.failing.Store(f)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, rest)):
			wait = min(2*wait, mostBackoff)
		}
	}
}

func (l *line) send(ctx context.Context, x *letter) (rest time.Duration, err error) {
	body, err := l.Body.Write(&x.m)
	if err != nil {
		return 0, fmt.Errorf("write the body: %w", err)
	}
	signers, err := l.Signers()
	if err != nil {
		return 0, fmt.Errorf("read the secret: %w", err)
	}
	return l.poster.Post(ctx, x.id, body, signers)
}

// Alarms is which receivers do not hear.
func (s *Sender) Alarms() (all []engine.Alarm) {
	if s == nil {
		return nil
	}
	for _, l := range s.lines {
		if f := l.failing.Load(); f != nil {
			all = append(all, engine.Alarm{Name: engine.AlarmWarningsFail, About: l.Name, Since: f.since,
				Detail: fmt.Sprintf("The receiver %s of warnings does not take them: %s.", l.Name, f.why),
				Advice: "They are sent again. Look at it, and at warnings.receivers; tell by other means whoever it " +
					"is for."})
		}
	}
	return all
}

// Collectors give what is counted, for metrics.
func (s *Sender) Collectors() []prometheus.Collector {
	var all []prometheus.Collector
	for _, l := range s.lines {
		for result, n := range map[string]*atomic.Uint64{"arrived": &l.sent, "failed": &l.failed} {
			all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "doorbuster_warnings_total",
				Help:        "Warnings posted to receivers by this node, by what came of it.",
				ConstLabels: prometheus.Labels{"receiver": l.Name, "result": result},
			}, func() float64 { return float64(n.Load()) }))
		}
	}
	return all
}
