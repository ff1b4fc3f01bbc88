package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// problemURN leads the type of each problem document.
const problemURN = "urn:doorbuster:problem:"

// problemKind names one way in which a request can fail.
type problemKind uint8

const (
	malformed problemKind = iota
	badQuantity
	unauthorized
	unsigned
	wrongSignature
	staleRequest
	nonceReused
	forbidden
	unsignedCallback
	crossSite
	notFound
	wrongDoor
	unknownListing
	unknownKey
	unknownBargain
	wrongMethod
	gone
	tooSlow
	conflict
	unsure
	ownApproval
	baseChanged
	notHeld
	notAtFloor
	tooLarge
	wrongMediaType
	keyReused
	wrongAmount
	wrongCurrency
	badPayToken
	badPlan
	badOperation
	badSolution
	badList
	badCatalogue
	badStatement
	tooManyConnections
	tooOften
	tooManyStreams
	headersTooLarge
	internalFault
	unavailable
	problemKinds
)

type problemRow struct {
	status int
	slug   string
	title  string
}

// problemTable turns each kind into a status and the words that never change.
var problemTable = [problemKinds]problemRow{
	malformed:        {http.StatusBadRequest, "malformed", "The request is malformed"},
	badQuantity:      {http.StatusBadRequest, "quantity", "The quantity can't be sold"},
	unauthorized:     {http.StatusUnauthorized, "unauthorized", "Say who you are"},
	unsigned:         {http.StatusUnauthorized, "unsigned", "The cashier's signature is missing, or not in its form"},
	wrongSignature:   {http.StatusUnauthorized, "signature", "The cashier's signature is wrong"},
	staleRequest:     {http.StatusUnauthorized, "stale", "The request is too old, or from the future"},
	nonceReused:      {http.StatusUnauthorized, "nonce", "The nonce belongs to another request"},
	forbidden:        {http.StatusForbidden, "forbidden", "This needs another role"},
	unsignedCallback: {http.StatusForbidden, "callback-not-configured", "Payment callbacks are not configured"},
	crossSite:        {http.StatusForbidden, "cross-site", "The request comes from another site"},
	notFound:         {http.StatusNotFound, "not-found", "There is nothing here"},
	wrongDoor:        {http.StatusNotFound, "elsewhere", "It is served at another address"},
	unknownListing:   {http.StatusNotFound, "unknown-listing", "There is no such listing"},
	unknownKey:       {http.StatusNotFound, "unknown-key", "There is no such grab"},
	unknownBargain:   {http.StatusNotFound, "unknown-bargain", "There is no such bargain"},
	wrongMethod:      {http.StatusMethodNotAllowed, "method", "The method is not allowed here"},
	gone:             {http.StatusGone, "gone", "It has been dropped"},
	tooSlow:          {http.StatusRequestTimeout, "timeout", "The request took too long to arrive"},
	conflict:         {http.StatusConflict, "conflict", "The state of things forbids it"},
	unsure:           {http.StatusConflict, "unsure", "It could end a sale"},
	ownApproval:      {http.StatusForbidden, "own-approval", "Another operator must approve it"},
	baseChanged:      {http.StatusConflict, "base-changed", "It would be another change by now"},
	notHeld:          {http.StatusConflict, "order-state", "The order's state forbids it"},
	notAtFloor:       {http.StatusConflict, "not-at-floor", "The price is not at its floor yet"},
	tooLarge:         {http.StatusRequestEntityTooLarge, "too-large", "The request body is too large"},
	wrongMediaType:   {http.StatusUnsupportedMediaType, "media-type", "The body's type is not understood"},
	keyReused: {http.StatusUnprocessableEntity, "key-reused",
		"The idempotency key belongs to another request"},
	wrongAmount:        {http.StatusUnprocessableEntity, "amount", "The money differs from the order's"},
	wrongCurrency:      {http.StatusUnprocessableEntity, "currency", "The currency differs from the order's"},
	badPayToken:        {http.StatusUnprocessableEntity, "pay-token", "The payment token does not do"},
	badPlan:            {http.StatusUnprocessableEntity, "plan", "The plan can't be applied"},
	badOperation:       {http.StatusUnprocessableEntity, "operation", "The cluster can't do that"},
	badSolution:        {http.StatusUnprocessableEntity, "solution", "The challenge is not solved"},
	tooOften:           {http.StatusTooManyRequests, "rate", "You ask too often"},
	tooManyStreams:     {http.StatusTooManyRequests, "streams", "Too many streams of events"},
	badStatement:       {http.StatusUnprocessableEntity, "statement", "The statement can't be taken"},
	badList:            {http.StatusUnprocessableEntity, "list", "The list can't be taken"},
	badCatalogue:       {http.StatusUnprocessableEntity, "catalogue", "The catalogue can't be taken"},
	tooManyConnections: {http.StatusTooManyRequests, "connections", "Too many connections from one address"},
	headersTooLarge: {http.StatusRequestHeaderFieldsTooLarge, "headers-too-large",
		"The request's headers are too large"},
	internalFault: {http.StatusInternalServerError, "internal", "Something went wrong here"},
	unavailable:   {http.StatusServiceUnavailable, "unavailable", "Not to be had right now"},
}

// refusalTable turns the state machine's reasons, where they end a request
// other than a grab, into problems with words that say what to do.
var refusalTable = map[engine.Reason]struct {
	kind   problemKind
	detail string
}{
	engine.ReasonUnknown:  {notFound, "Nothing by this name is known. Check the id or the order number."},
	engine.ReasonNotYours: {notFound, "Nothing by this name is known. Check the id or the order number."},
	engine.ReasonNotHeld: {notHeld,
		"The order's state does not allow it. Look at the order to see what became of it."},
	engine.ReasonAmount:   {wrongAmount, "Amount and currency must be the order's own."},
	engine.ReasonCurrency: {wrongCurrency, "The currency must be the order's own."},
	engine.ReasonConflict: {conflict,
		"It contradicts what is there already. Look at it again, then ask for what is still possible."},
	engine.ReasonFrozen: {conflict,
		"The listing is frozen after a broken invariant; nothing in it changes until that is looked into."},
	engine.ReasonEnded:    {conflict, "The session has ended."},
	engine.ReasonNotOpen:  {conflict, "The session is not open."},
	engine.ReasonPaused:   {conflict, "The session is paused already."},
	engine.ReasonSoldOut:  {conflict, "Fewer units are free than were to be taken away: the rest are held or paid."},
	engine.ReasonQuantity: {badQuantity, "The number of units is outside what is allowed."},
	engine.ReasonKeyReused: {keyReused,
		"This Idempotency-Key was used with another request. Repeat that request as it was, or take a new key."},
	engine.ReasonTooLate: {conflict,
		"It is too late for that: the session has started, or the listing takes no reservations."},
	engine.ReasonTooMany: {conflict, "That would be more than can be remembered. Take something away first."},
	engine.ReasonNotAtFloor: {notAtFloor,
		"By this bargain one buys at the floor price only. Ask more friends to help."},
	engine.ReasonBargainOver: {conflict,
		"The bargain is over: something was bought by it, it was ended, or its time has passed."},
	engine.ReasonOffered: {conflict,
		"A session offers the product. Retire it, so that no further session can, or delete those sessions first."},
	engine.ReasonSupplier: {conflict, "The product's supplier has not so many units: look at what the product says " +
		"of its stock, and of what all sessions put up."},
	engine.ReasonSettled: {conflict, "The session is settled; nothing in it changes any more."},
	engine.ReasonShrinks: {unsure,
		"Fewer than half of the supplier's products would be left, and nothing was changed. If that is meant, say so " +
			"with ?sure=true (--yes)."},
	engine.ReasonOwnApproval: {ownApproval,
		"You asked for this change yourself: another operator must approve it. You can take it back by rejecting it."},
	engine.ReasonBaseChanged: {baseChanged, "What it would change is not what it would have changed when it was " +
		"asked for, and nothing was changed. Reject it, and have it asked for again, by what there is now."},
	engine.ReasonApprovalOver: {conflict, "Somebody has decided about it already, or it has expired."},
	engine.ReasonRefused: {conflict,
		"The present state does not allow it. Look at it again before asking once more."},
}

// unknownOutcome reports whether err leaves open what became of a request.
func unknownOutcome(err error) bool {
	return errors.Is(err, engine.ErrOutcomeUnknown) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled)
}

// problemOf is the one place that turns an error of the rooms behind into a
// problem. known is false for errors that nobody foresaw: a fault of ours.
func problemOf(err error) (kind problemKind, detail string, known bool) {
	var refusal *engine.Refusal
	var refused *problemError
	var operation *ClusterRefusal
	var rows engine.RowProblems
	switch {
	case errors.As(err, &refused):
		return refused.kind, refused.detail, true
	case errors.As(err, &operation) && operation.Invalid:
		return badOperation, operation.Message, true
	case errors.As(err, &operation):
		return conflict, operation.Message, true
	case errors.As(err, &refusal):
		entry, ok := refusalTable[refusal.Reason]
		if !ok {
			entry = refusalTable[engine.ReasonRefused]
		}
		if refusal.Detail != "" {
			return entry.kind, refusal.Detail, true
		}
		if refusal.State != 0 && entry.kind == notHeld {
			return entry.kind, "The order is " + refusal.State.String() + "; that does not allow it.", true
		}
		return entry.kind, entry.detail, true
	case errors.As(err, &rows):
		return conflict, rows.Error(), true
	case errors.Is(err, engine.ErrNoRecords):
		return unavailable, "The records of settled sessions can't be read here just now. Nothing has changed; ask " +
			"again in a moment.", true
	case errors.Is(err, engine.ErrNotLeader):
		return unavailable,
			"No leader could take this just now. Nothing is known to have changed; ask again in a moment.", true
	case unknownOutcome(err):
		return unavailable, "It is not known yet whether this was done. Look, or ask again.", true
	}
	return internalFault, "It was noted. Asking again may help.", false
}

// retrySeconds is what Retry-After says where waiting helps.
const retrySeconds = "1"

// appendProblem appends the document up to its closing brace, so that members
// of its own can follow.
func appendProblem[I string | []byte](dst []byte, kind problemKind, detail string, instance I) []byte {
	p := &problemTable[kind]
	dst = append(dst, `{"type":"`+problemURN...)
	dst = append(dst, p.slug...)
	dst = append(dst, `","title":`...)
	dst = appendString(dst, p.title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.status), 10)
	dst = append(dst, `,"detail":`...)
	dst = appendString(dst, detail)
	if len(instance) > 0 {
		dst = append(dst, `,"instance":`...)
		dst = appendString(dst, instance[:min(len(instance), 512)])
	}
	return dst
}

// problem answers a shopper's request with a problem document.
func (s *ShopperServer) problem(ctx *fasthttp.RequestCtx, kind problemKind, detail string) {
	s.metricsOf(ctx).problem(kind)
	body := append(appendProblem(nil, kind, detail, ctx.URI().PathOriginal()), '}')
	setProblem(&ctx.Response, kind, body)
}

func setProblem(r *fasthttp.Response, kind problemKind, body []byte) {
	r.SetStatusCode(problemTable[kind].status)
	r.Header.SetContentType(problemType)
	r.Header.SetCanonical(headerCacheControl, noStore)
	if kind == unavailable || kind == tooOften {
		r.Header.Set("Retry-After", retrySeconds)
	}
	r.SetBodyRaw(body)
}

// failed answers a shopper's request that ended in err.
func (s *ShopperServer) failed(ctx *fasthttp.RequestCtx, err error) {
	kind, detail, known := problemOf(err)
	if !known {
		s.faults.Do(func() {
			s.log.Error("shopper request failed", "path", string(ctx.URI().PathOriginal()),
				"error", err)
		})
	}
	s.problem(ctx, kind, detail)
}

// problemFor makes a problem document.
func problemFor(kind problemKind, detail, instance string, reasons ...wire.PlanProblem) wire.Problem {
	p := &problemTable[kind]
	return wire.Problem{Type: problemURN + p.slug, Title: p.title, Status: p.status, Detail: detail,
		Instance: instance[:min(len(instance), 512)], Problems: reasons}
}

// problem answers an operator's request with a problem document.
func (s *AdminServer) problem(w http.ResponseWriter, r *http.Request, kind problemKind, detail string,
	reasons ...wire.PlanProblem) {
	if a, ok := w.(*answer); ok && a.refused { // whatever became of the part that was read
		kind, detail, reasons = unauthorized, "The token expired while this was being sent, or its key was "+
			"withdrawn. Nothing was changed.", nil
	}
	s.metrics.problem(kind)
	h := w.Header()
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	if kind == unavailable {
		h.Set("Retry-After", retrySeconds)
	}
	w.WriteHeader(problemTable[kind].status)
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	// Whoever asked may have gone; there is nobody left to tell.
	_ = to.Encode(problemFor(kind, detail, r.URL.EscapedPath(), reasons...))
}

// notKnown says what to do about a change of which nobody knows whether it was made.
func notKnown(r *http.Request) string {
	if byOf(r).Key == "" {
		return "It is not known yet whether this was done. Look before you ask again: done twice, it may count " +
			"twice. With an Idempotency-Key it counts once."
	}
	return "It is not known yet whether this was done. Ask again with the same Idempotency-Key: it counts once."
}

// failed answers an operator's request that ended in err.
func (s *AdminServer) failed(w http.ResponseWriter, r *http.Request, err error) {
	kind, detail, known := problemOf(err)
	if !known && !errors.As(err, new(*engine.TrailGone)) {
		s.log.Error("admin request failed", "route", r.Pattern, "error", err) // a path may name a phone number
	}
	if unknownOutcome(err) && r.Method != http.MethodGet {
		detail = notKnown(r)
	}
	var dropped *engine.TrailGone
	if errors.As(err, &dropped) {
		first := dropped.First.String()
		w.Header().Set(wire.HeaderFirstEvent, first)
		kind, detail = gone, "Events before "+first+" have been dropped. Begin with from="+first+"."
	}
	var refused *problemError
	if errors.As(err, &refused) {
		s.problem(w, r, kind, detail, refused.reasons...)
		return
	}
	s.problem(w, r, kind, detail)
}
