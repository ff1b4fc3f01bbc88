package httpapi

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/traces"
)

// Header names in the form in which fasthttp keeps them.
var (
	headerIdempotencyKey = []byte("Idempotency-Key")
	headerShopperPhone   = []byte("X-Shopper-Phone")
	headerLanguage       = []byte("Accept-Language")
	headerCacheControl   = []byte("Cache-Control")
	headerNoneMatch      = []byte("If-None-Match")
	headerEncoding       = []byte("Content-Encoding")

	noStore  = []byte("no-store")
	jsonType = []byte("application/json")
)

// mintedKeyBytes is the length of a key made here: 128 random bits in hex.
const mintedKeyBytes = 32

// grabCall is what one grab needs beyond its request, pooled: a grab passes
// through an interface, which would put it on the heap each time.
type grabCall struct {
	server  *ShopperServer
	grab    engine.Grab
	answer  engine.Answer
	ctx     *fasthttp.RequestCtx // nil once the handler has returned
	path    []byte               // once kept
	in      language
	minted  bool           // the key was made here
	closes  bool           // the answer is the connection's last
	began   time.Time      // when the request was there
	turn    uint8          // of this call's grabs, on and on
	timed   bool           // how long its door and gate take is told
	trace   *traces.Grab   // nil: it is not traced
	asked   time.Time      // when the gate was; of one that is timed
	own     []byte         // what a grab that is undecided needs of its request
	conn    *lingeringConn // that the answer is detached from; nil: the handler waits
	state   atomic.Uint32  // callAsked, …
	told    chan struct{}  // one place: the handler may go on
	visitor engine.Visitor // who asks, for the guard, which fills in the address; lies in the request
	phone   string         // as the token says it
	ticket  []byte         // as it was sent; lies in the request
	asks    engine.Challenge
	key     [mintedKeyBytes]byte
	sheet   *sheet
}

// newGrabCall makes a call whose turn is anywhere: pools are emptied now and then, and who
// is timed must not depend on it.
func newGrabCall() *grabCall {
	return &grabCall{told: make(chan struct{}, 1), turn: uint8(rand.Uint32())}
}

// sheet is what an answer is written on. The same few go from call to call, so that they
// are near.
type sheet struct {
	body     []byte
	response fasthttp.Response // of an answer that is detached
	sent     []byte            // that, as it is sent
}

var sheets = sync.Pool{New: func() any { return new(sheet) }}

// Of a grabCall that is undecided.
const (
	callAsked    uint32 = iota // the handler has not looked
	callTold                   // before it did
	callAwaited                // it waits
	callDetached               // it does not
)

// grab is the hot path. The listing lies in the request, and so do the shopper
// and the key: nobody keeps them beyond the call without copying.
func (s *ShopperServer) grab(ctx *fasthttp.RequestCtx, listing []byte) {
	who, ok := s.whoAsks(ctx)
	if !ok {
		return
	}
	call := s.callFor(ctx, &who, listing)
	if kind, wrong := call.take((*grabCall).read); wrong != "" {
		s.problem(ctx, kind, wrong)
		s.done(call)
		return
	}
	s.decide(call)
}

// take takes in what a request says: its key, its body by read, and its transaction. wrong
// says what is wrong with it, "" if nothing.
func (c *grabCall) take(read func(*grabCall, []byte) (problemKind, string)) (kind problemKind, wrong string) {
	g := &c.grab
	g.Quantity = 1
	keys := 0
	if g.IdempotencyKey, keys = oneOf(c.ctx, "Idempotency-Key"); len(g.IdempotencyKey) == 0 && keys < 2 {
		g.IdempotencyKey, c.minted = c.mint(), true
	} else if keys > 1 || !engine.ValidKey(g.IdempotencyKey) {
		return malformed, badKey
	}
	if body := c.ctx.Request.Body(); len(body) > 0 {
		if kind, wrong = read(c, body); wrong != "" {
			return kind, wrong
		}
	}
	var ok bool
	if g.Transaction, ok = transactionOf(c.ctx); !ok {
		return malformed, badTransaction
	}
	return 0, ""
}

// decide has call's grab decided, and answers it at once or once it is.
func (s *ShopperServer) decide(call *grabCall) {
	if s.tracer != nil && s.tracer.Sample() {
		call.traced()
	}
	if call.timed {
		call.askedGate()
	}
	if a, decided := s.seller.Decide(&call.grab, call); decided {
		call.answer = a
		call.passed()
	} else if ctx := call.ctx; call.detaches() {
		ctx.Response.Header.SetStatusMessage(placeholderMessage)
		return
	}
	call.write(&call.ctx.Response)
	s.done(call)
}

// Keep makes the grab the call's own: it may be undecided for longer than the request is
// there. It is engine.Asker's.
func (c *grabCall) Keep() {
	c.passed()
	g, at := &c.grab, 0
	c.path, _ = pathOf(c.ctx)
	own := c.own[:0]
	for _, lies := range [...]*[]byte{&g.Listing, &g.Shopper, &g.IdempotencyKey, &c.path} {
		own = append(own, *lies...)
	}
	for _, lies := range [...]*[]byte{&g.Listing, &g.Shopper, &g.IdempotencyKey, &c.path} {
		*lies = own[at : at+len(*lies) : at+len(*lies)]
		at += len(*lies)
	}
	c.own = own
}

// askedGate tells how long the door took.
func (c *grabCall) askedGate() {
	c.asked = time.Now()
	c.server.took(engine.StageDoor, c.asked.Sub(c.began))
	c.ended(engine.StageDoor, c.asked)
}

// passed tells how long the gate took, once; it is small, so that it costs who is not timed no
// call.
func (c *grabCall) passed() {
	if c.timed {
		c.passedGate()
	}
}

func (c *grabCall) passedGate() {
	c.timed = false
	now := time.Now()
	c.server.took(engine.StageGate, now.Sub(c.asked))
	c.ended(engine.StageGate, now)
}

// traced has the grab traced, in the trace that its request is of.
func (c *grabCall) traced() {
	if c.began.IsZero() {
		return
	}
	parent, headers := oneOf(c.ctx, "Traceparent")
	if headers > 1 {
		parent = nil
	}
	c.trace, c.timed = traces.Begin(parent, c.began), true
	c.grab.Trace = c.trace
}

func (c *grabCall) ended(stage engine.Stage, at time.Time) {
	if c.trace != nil {
		c.trace.Ended(stage, at)
	}
}

// detaches reports whether the answer comes after the handler has returned. If not, it is
// there: the handler has waited, since one before it is still to be written.
func (c *grabCall) detaches() bool {
	conn, ok := c.ctx.Conn().(*lingeringConn)
	if ok && c.ctx.Request.Header.IsHTTP11() && conn.detach() {
		c.conn = conn
		c.closes = c.ctx.Request.Header.ConnectionClose() || c.ctx.Response.ConnectionClose()
		if c.state.CompareAndSwap(callAsked, callDetached) {
			return true
		}
		conn.attach()
	} else if c.state.CompareAndSwap(callAsked, callAwaited) {
		<-c.told
	}
	return false
}

// Decided takes in what became of the grab. It is engine.Reply's.
func (c *grabCall) Decided(a engine.Answer, _ engine.LogIndex, _ error) {
	c.answer = a
	switch {
	case c.state.CompareAndSwap(callAsked, callTold):
	case c.state.Load() == callAwaited:
		c.told <- struct{}{}
	default:
		c.ctx = nil
		c.render()
		c.conn.answerLater(c)
	}
}

// render makes of a detached answer what is sent.
func (c *grabCall) render() {
	c.sheet = sheets.Get().(*sheet)
	r := &c.sheet.response
	defer func() {
		if p := recover(); p != nil {
			c.conn.door.metrics.panicked.Add(1)
			c.server.fault(c.path, p)
			r.Reset()
			setProblem(r, internalFault, append(appendProblem(nil, internalFault, panicWords, c.path), '}'))
			c.sheet.send()
		}
	}()
	r.Reset()
	r.Header.SetNoDefaultContentType(true)
	c.write(r)
	if c.closes || c.conn.door.leaving.Load() {
		r.SetConnectionClose()
	}
	c.sheet.send()
}

// send makes the response what is sent.
func (t *sheet) send() {
	body := t.response.Body()
	t.response.Header.SetContentLength(len(body))
	t.sent = append(t.response.Header.AppendBytes(t.sent[:0]), body...)
}

// write writes the answer to a grab.
func (c *grabCall) write(r *fasthttp.Response) {
	if c.minted {
		r.Header.SetCanonical(headerIdempotencyKey, c.grab.IdempotencyKey)
	}
	c.server.answer(r, c, c.grab.IdempotencyKey)
	took := c.server.grabs.answered(&c.answer, c.began)
	c.server.tallies.Of(c.answer.Session).Answered(&c.answer, took, c.grab.Shopper)
	if c.server.grabs.exemplars != nil {
		c.server.grabs.exemplify(c.answer.Code, took, cmp.Or(c.answer.Transaction, c.grab.Transaction))
	}
	if c.trace != nil {
		c.trace.Ended(engine.StageAnswer, time.Now())
		c.server.tracer.End(c.trace, &c.grab, &c.answer)
	}
}

// call takes a call for a request.
func (s *ShopperServer) call(ctx *fasthttp.RequestCtx) *grabCall {
	c := s.calls.Get().(*grabCall)
	c.server, c.ctx, c.began = s, ctx, ctx.Time()
	c.in = s.languageOf(ctx)
	c.minted = false
	c.state.Store(callAsked)
	return c
}

// timedGrabs: one in so many is timed. Reading the clock twice more costs a refused grab
// some 5%.
const timedGrabs = 64

// callFor takes a call for what who asks of a listing.
func (s *ShopperServer) callFor(ctx *fasthttp.RequestCtx, who *auth.Bearer, listing []byte) *grabCall {
	call := s.call(ctx)
	call.grab.Listing, call.grab.Shopper, call.grab.Door = listing, who.Subject, call
	call.visitor = engine.Visitor{Shopper: who.Subject, Phone: who.ListedPhone,
		Address: who.ListedAddress, PhoneHash: who.PhoneHash, AddressHash: who.AddressHash}
	call.phone = who.Phone
	call.turn++
	call.timed = call.turn%timedGrabs == 0 && !call.began.IsZero()
	return call
}

// done gives call back; nothing may look at it any more. What it points to in
// the request must not outlive the handler.
func (s *ShopperServer) done(call *grabCall) {
	call.grab, call.ctx, call.visitor, call.phone, call.ticket, call.asks = engine.Grab{}, nil, engine.Visitor{},
		"", nil, engine.ChallengeNone
	call.path, call.conn, call.trace = nil, nil, nil
	if call.sheet != nil {
		sheets.Put(call.sheet)
		call.sheet = nil
	}
	s.calls.Put(call)
}

const badKey = "An Idempotency-Key has 1 to 255 printable ASCII characters and no space."

// mint makes a key: random from a generator seeded by the operating system
// (ChaCha8), so that nobody can guess it.
func (c *grabCall) mint() []byte {
	var b [mintedKeyBytes / 2]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(c.key[:], b[:])
	return c.key[:]
}

// decodeStrictly reads one JSON object into v and refuses members that v lacks.
// wrong says what is wrong where, in words for whoever sent it; "" if nothing.
func decodeStrictly(body []byte, v any) (wrong string) { return ofBody(input.Object(body, v, true)) }

// decode reads one JSON object into v as decodeStrictly does, and ignores members that
// v lacks: of systems outside, which learn new ones before we do.
func decode(body []byte, v any) (wrong string) { return ofBody(input.Object(body, v, false)) }

// ofBody makes a sentence of what package input found wrong with a body.
func ofBody(wrong string) string {
	if rest, ok := strings.CutPrefix(wrong, "it "); ok {
		return "The body " + rest + "."
	}
	if wrong == "" {
		return ""
	}
	return strings.ToUpper(wrong[:1]) + wrong[1:] + "."
}

// grabQuery is what may be asked with the key of a grab.
type grabQuery struct {
	Deadline int64 `query:"deadline"` // The one that the processing answer named, in Unix milliseconds.
}

// grabByKey tells what became of a grab.
func (s *ShopperServer) grabByKey(ctx *fasthttp.RequestCtx, escaped []byte) {
	who, ok := s.whoAsks(ctx)
	if !ok {
		return
	}
	key, ok := unescape(escaped)
	if !ok || !engine.ValidKey(key) {
		s.problem(ctx, malformed, badKey)
		return
	}
	var q grabQuery
	if !askedFor(s, ctx, routeGrabByKey, &q) {
		return
	}
	deadline := engine.Time(q.Deadline)
	answer, found, err := s.seller.GrabByKey(who.Subject, key, deadline)
	switch unknown := errors.Is(err, engine.ErrNotLeader) || errors.Is(err, engine.ErrOutcomeUnknown); {
	case unknown && deadline != 0, err == nil && !found && answer.Code == engine.CodeRefused && deadline != 0:
		// Nobody could say that it did not happen: it may yet turn out a yes.
		answer = engine.Answer{Code: engine.CodeProcessing, Deadline: deadline}
	case err != nil:
		s.failed(ctx, err)
		return
	case !found && answer.Code == engine.CodeRefused:
		s.problem(ctx, unknownKey, "No grab of yours with this key is remembered. What was refused is not; ask again "+
			"with a grab.")
		return
	}
	call := s.call(ctx)
	call.answer = answer
	s.answer(&ctx.Response, call, key)
	s.done(call)
}

// unescape decodes %XX in a segment of a path. false: an escape is broken.
func unescape(segment []byte) ([]byte, bool) {
	if bytes.IndexByte(segment, '%') < 0 {
		return segment, true
	}
	plain := make([]byte, 0, len(segment))
	for i := 0; i < len(segment); i++ {
		if segment[i] != '%' {
			plain = append(plain, segment[i])
			continue
		}
		if i+3 > len(segment) {
			return nil, false
		}
		var b [1]byte
		if _, err := hex.Decode(b[:], segment[i+1:i+3]); err != nil {
			return nil, false
		}
		plain = append(plain, b[0])
		i += 2
	}
	return plain, true
}
