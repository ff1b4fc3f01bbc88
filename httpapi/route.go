package httpapi

import (
	"bytes"
	"reflect"

	"doorbuster/engine"
)

// route is one path of the shopper API.
type route uint8

const (
	routeNone route = iota
	routeTime
	routeSessions
	routeListing
	routeGrab
	routeGrabByKey
	routeOrders
	routeOrder
	routeCancel
	routeReceiver
	routeCallback
	routeChallenge
	routeTicket
	routeReserve
	routeWithdraw
	routeDraw
	routeLeave
	routeEvents
	routeVerify
	routePayKeys
	routeStartBargain
	routeBargain
	routeCutBargain
	routeBuy
	routeReceived
	routeStorefront
	routeStorefrontFile
	routes
)

// shopperRoutes says what each path is for. The templates are those of
// openapi.json; match finds them by hand.
var shopperRoutes = [routes]shopperRoute{
	routeTime:      {"GET", "GET, HEAD", "/v1/time", question{}, !writes},
	routeSessions:  {"GET", "GET, HEAD", "/v1/sessions", asks[sessionsQuery](), !writes},
	routeListing:   {"GET", "GET, HEAD", "/v1/sessions/{session}/skus/{sku}", asks[wordsQuery](), !writes},
	routeGrab:      {"POST", "POST", "/v1/sessions/{session}/skus/{sku}/grab", question{}, !writes},
	routeGrabByKey: {"GET", "GET, HEAD, DELETE", "/v1/grabs/{key}", asks[grabQuery](), !writes},
	routeOrders:    {"GET", "GET, HEAD", "/v1/orders", asks[ordersQuery](), !writes},
	routeOrder:     {"GET", "GET, HEAD", "/v1/orders/{order_no}", question{}, !writes},
	routeCancel:    {"POST", "POST", "/v1/orders/{order_no}/cancel", question{}, writes},
	routeReceiver:  {"PUT", "PUT", "/v1/orders/{order_no}/receiver", question{}, writes},
	routeCallback:  {"POST", "POST", "/v1/payments/callback", question{}, !writes},
	routeChallenge: {"POST", "POST", "/v1/sessions/{session}/skus/{sku}/challenge", question{}, !writes},
	routeTicket:    {"POST", "POST", "/v1/sessions/{session}/skus/{sku}/ticket", question{}, !writes},
	routeReserve:   {"POST", "POST, DELETE", "/v1/sessions/{session}/skus/{sku}/reservation", question{}, writes},
	routeWithdraw:  {"DELETE", "POST, DELETE", "/v1/sessions/{session}/skus/{sku}/reservation", question{}, writes},
	routeDraw:      {"GET", "GET, HEAD", "/v1/sessions/{session}/skus/{sku}/draw", asks[entriesQuery](), !writes},
	routeLeave:     {"DELETE", "GET, HEAD, DELETE", "/v1/grabs/{key}", question{}, writes},
	routeEvents:    {"GET", "GET, HEAD", "/v1/events", question{}, !writes},
	routeVerify:    {"POST", "POST", "/v1/payments/verify", question{}, !writes},
	routePayKeys:   {"GET", "GET, HEAD", "/v1/payments/keys", question{}, !writes},

	routeStartBargain: {"POST", "POST", "/v1/sessions/{session}/skus/{sku}/bargains", question{}, !writes},
	routeBargain:      {"GET", "GET, HEAD", "/v1/bargains/{code}", question{}, !writes},
	routeCutBargain:   {"POST", "POST", "/v1/bargains/{code}/cuts", question{}, !writes},
	routeBuy:          {"POST", "POST", "/v1/bargains/{code}/buy", question{}, !writes},

	routeReceived: {"POST", "POST", "/v1/orders/{order_no}/received", question{}, writes},

	routeStorefront:     {"GET", "GET, HEAD", "/shop", question{}, !writes},
	routeStorefrontFile: {"GET", "GET, HEAD", "/shop/{file}", question{}, !writes},
}

// writes is said of routes whose requests may go into the log, at the rate of
// GuardConfig.WriteRate. Grabs, and what is asked of bargains, have rates of their own.
const writes = true

// deletes gives the route that has the same path and takes DELETE, or r.
func (r route) deletes() route {
	switch r {
	case routeReserve:
		return routeWithdraw
	case routeGrabByKey:
		return routeLeave
	}
	return r
}

type shopperRoute struct {
	method   string
	allow    string // as the Allow header says it
	template string
	question // what may be asked after it
	writes   bool
}

// question is what may be asked in a query: nothing without a type.
type question struct {
	query query
	asked reflect.Type
}

func asks[Q any]() question { return question{queryOf[Q](), reflect.TypeFor[Q]()} }

func (r *shopperRoute) allows(method []byte) bool {
	return string(method) == r.method || r.method == "GET" && string(method) == "HEAD"
}

// matched is what a path names. Its slices lie in the path.
type matched struct {
	listing      []byte // "{session}/skus/{sku}", as engine.Grab has it
	session, sku []byte // of a listing
	name         []byte // the order number, a bargain's code, or the key, still percent-encoded
}

// match finds the route of a path as it was sent, undecoded: ids need no
// escaping, so an escaped one names nothing. It allocates nothing.
func match(path []byte) (route, matched) {
	rest, ok := bytes.CutPrefix(path, prefixV1)
	if !ok {
		return matchStorefront(path)
	}
	if after, ok := bytes.CutPrefix(rest, prefixSessions); ok {
		return matchListing(after)
	}
	switch string(rest) {
	case "time":
		return routeTime, matched{}
	case "sessions":
		return routeSessions, matched{}
	case "orders":
		return routeOrders, matched{}
	case "payments/callback":
		return routeCallback, matched{}
	case "events":
		return routeEvents, matched{}
	case "payments/verify":
		return routeVerify, matched{}
	case "payments/keys":
		return routePayKeys, matched{}
	}
	if key, ok := bytes.CutPrefix(rest, prefixGrabs); ok {
		if len(key) == 0 || bytes.IndexByte(key, '/') >= 0 {
			return routeNone, matched{}
		}
		return routeGrabByKey, matched{name: key}
	}
	if after, ok := bytes.CutPrefix(rest, prefixBargains); ok {
		return matchNamed(after, routeBargain, doings{{"cuts", routeCutBargain}, {"buy", routeBuy}})
	}
	if after, ok := bytes.CutPrefix(rest, prefixOrders); ok {
		return matchNamed(after, routeOrder, doings{{"cancel", routeCancel}, {"receiver", routeReceiver},
			{"received", routeReceived}})
	}
	return routeNone, matched{}
}

// matchStorefront finds the page, at its address with and without a slash, and its files.
func matchStorefront(path []byte) (route, matched) {
	name, ok := bytes.CutPrefix(path, pathShop)
	switch {
	case !ok || len(name) > 0 && name[0] != '/':
		return routeNone, matched{}
	case len(name) <= 1:
		return routeStorefront, matched{}
	}
	if name = name[1:]; !validID(name) {
		return routeNone, matched{}
	}
	return routeStorefrontFile, matched{name: name}
}

// doings are what can be done with a thing that has a name, and by which route.
type doings [3]struct {
	what string
	by   route
}

// matchNamed reads a name, which alone is a look, and what may follow it.
func matchNamed(path []byte, look route, doings doings) (route, matched) {
	name, action, deeper := bytes.Cut(path, slash)
	if !validID(name) {
		return routeNone, matched{}
	}
	if !deeper {
		return look, matched{name: name}
	}
	for _, do := range doings {
		if do.what != "" && string(action) == do.what {
			return do.by, matched{name: name}
		}
	}
	return routeNone, matched{}
}

// matchListing reads "{session}/skus/{sku}" and what may follow it.
func matchListing(path []byte) (route, matched) {
	m := matched{listing: path}
	var ok bool
	if m.session, path, ok = bytes.Cut(path, slash); !ok {
		return routeNone, matched{}
	}
	if path, ok = bytes.CutPrefix(path, prefixSKUs); !ok {
		return routeNone, matched{}
	}
	var action []byte
	m.sku, action, ok = bytes.Cut(path, slash)
	if !validID(m.session) || !validID(m.sku) {
		return routeNone, matched{}
	}
	m.listing = m.listing[:len(m.session)+len("/skus/")+len(m.sku)]
	switch {
	case !ok:
		return routeListing, m
	case string(action) == "grab":
		return routeGrab, m
	case string(action) == "challenge":
		return routeChallenge, m
	case string(action) == "ticket":
		return routeTicket, m
	case string(action) == "reservation":
		return routeReserve, m
	case string(action) == "draw":
		return routeDraw, m
	case string(action) == "bargains":
		return routeStartBargain, m
	}
	return routeNone, matched{}
}

var (
	prefixV1       = []byte("/v1/")
	prefixSessions = []byte("sessions/")
	prefixSKUs     = []byte("skus/")
	prefixGrabs    = []byte("grabs/")
	prefixOrders   = []byte("orders/")
	prefixBargains = []byte("bargains/")
	pathShop       = []byte("/shop")
	slash          = []byte("/")
)

// validID is engine.ValidID for bytes, without the copy that a string would be.
func validID(id []byte) bool {
	if len(id) == 0 || len(id) > engine.MaxIDBytes {
		return false
	}
	for i, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return true
}
