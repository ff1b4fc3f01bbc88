package httpapi

import (
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/wire"
)

var (
	byShopper = []string{"shopperToken", "devShopper"}
	byCashier = []string{"cashierSignature", ""} // with --dev unsigned, too
)

var grabAnswers = []wire.Answer{
	{Status: 200, Says: "Every business outcome.", Bodies: wire.Bodies{wire.JSON: {wire.GrabAnswer{}}},
		Headers: []string{"Idempotency-Key"}},
	{Status: 202, Says: "The outcome is not known yet; ask at Location.",
		Bodies: wire.Bodies{wire.JSON: {wire.GrabAnswer{}}}, Headers: []string{"Location", "Retry-After",
			"Idempotency-Key"}},
}

// shopperOperations is what the description says of each of shopperRoutes. Their answers
// are put together by hand; tests hold them against these types.
var shopperOperations = [routes]wire.Operation{
	routeTime: {ID: "getTime", Summary: "The time that sales open and end by",
		Answers: []wire.Answer{
			{Status: 200, Says: "Now.", Bodies: wire.Bodies{wire.JSON: {wire.Now{}}}},
		},
	},
	routeSessions: {ID: "listSessions", Summary: "Sessions open or to come, with their listings",
		Description: "Compressed with gzip where Accept-Encoding asks for it. A question with parameters other than " +
			"lang is made for the asker alone and counts against the rate of their address (rate_limit.look). Where " +
			"the display has an address of its own, this is 404 (type …:elsewhere) at the shoppers' address.",
		Headers: []string{"IfNoneMatch"},
		Answers: []wire.Answer{
			{Status: 200, Says: "Near first where the shopper says where they are.",
				Bodies: wire.Bodies{wire.JSON: {wire.Sessions{}}}, Headers: []string{"ETag", "Cache-Control"}},
			{Status: 304, Says: "What If-None-Match names is still right."},
		},
		Problems: "404 429 503",
	},
	routeListing: {ID: "getListing", Summary: "One listing",
		Description: "Where the display has an address of its own, this is 404 (type …:elsewhere) at the shoppers' " +
			"address.",
		Headers: []string{"IfNoneMatch"},
		Answers: []wire.Answer{
			{Status: 200, Says: "The listing.", Bodies: wire.Bodies{wire.JSON: {wire.Listing{}}},
				Headers: []string{"ETag", "Cache-Control"}},
			{Status: 304, Says: "What If-None-Match names is still right."},
		},
		Problems: "404 503",
	},
	routeGrab: {ID: "grab", Summary: "Ask for units of a listing",
		Security: byShopper,
		Headers:  []string{"GrabKey", "Transaction"},
		Body:     wire.Bodies{wire.JSON: {wire.GrabRequest{}}}, Optional: true,
		Answers:  grabAnswers,
		Problems: "404 413 422",
	},
	routeLeave: {ID: "leaveLine", Summary: "Give up a place in line or in a draw",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "The place, given up.", Bodies: wire.Bodies{wire.JSON: {wire.Order{}}}},
		},
		Problems: "404 409 429 503",
	},
	routeGrabByKey: {ID: "getGrab", Summary: "What became of a grab",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "What became of it.", Bodies: wire.Bodies{wire.JSON: {wire.GrabAnswer{}}}},
			{Status: 202, Says: "Still not known.", Bodies: wire.Bodies{wire.JSON: {wire.GrabAnswer{}}}},
		},
		Problems: "404 503",
	},
	routeChallenge: {ID: "getChallenge", Summary: "Something to solve for a ticket, once the listing is open",
		Description: "For this shopper and this listing only, for two minutes unless configured otherwise. Counts " +
			"against the rate limits. An image is drawn for a shopper one at a time (429).",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "What is asked for; or, where there is nothing to grab, or a challenge is to be " +
				"solved first, a grab's answer that says so.", Bodies: wire.Bodies{wire.JSON: {wire.Challenge{},
				wire.GrabAnswer{}}}},
		},
		Problems: "404 429 503",
	},
	routeTicket: {ID: "getTicket", Summary: "A ticket to grab with, once the listing is open",
		Description: "For this shopper and this listing only, and for one use: once it has brought a hold or a " +
			"place, it brings nothing more. The same challenge solved again is the same use. Counts against the rate " +
			"limits.",
		Security: byShopper,
		Body:     wire.Bodies{wire.JSON: {wire.Solution{}}}, Optional: true,
		Answers: []wire.Answer{
			{Status: 200, Says: "What is asked for; or, where there is nothing to grab, or a challenge is to be " +
				"solved first, a grab's answer that says so.",
				Bodies: wire.Bodies{wire.JSON: {wire.Ticket{}, wire.GrabAnswer{}}}},
		},
		Problems: "404 422 429 503",
	},
	routeReserve: {ID: "reserve", Summary: "Register for a listing before its start",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 201, Says: "Registered.", Bodies: wire.Bodies{wire.JSON: {wire.Reservation{}}}},
			{Status: 200, Says: "Registered before.", Bodies: wire.Bodies{wire.JSON: {wire.Reservation{}}}},
		},
		Problems: "404 409 429 503",
	},
	routeWithdraw: {ID: "withdrawReservation", Summary: "Take a registration back, before the start",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 204, Says: "Not registered, or not any more."},
		},
		Problems: "404 409 429 503",
	},
	routeDraw: {ID: "getDraw", Summary: "A listing's draw: the commitment, and once it has closed the seed and who " +
		"entered",
		Description: "rank = first 8 bytes, big endian, of SHA-256(seed, order number); lower ranks come first, " +
			"equal ones by order number. commitment = SHA-256(seed).",
		Answers: []wire.Answer{
			{Status: 200, Says: "The draw; with entries once the seed is told.",
				Bodies: wire.Bodies{wire.JSON: {wire.DrawPage{}}}},
		},
		Problems: "404 429 503",
	},
	routeEvents: {ID: "streamEvents", Summary: "What becomes of the shopper's orders and places, as it changes",
		Description: "Server-sent events. First `snapshot` with {\"orders\":[…]}, the newest 50; then `order` with " +
			"an order object each time one changes. A stream ends after 30 minutes, with its token, when its place " +
			"is needed for another address, and when the node stops, with a `retry`; the next one begins with a new " +
			"snapshot. Four streams a shopper.",
		Security: byShopper,
		Headers:  []string{"LastEventID"},
		Answers: []wire.Answer{
			{Status: 200, Says: "A stream.", Bodies: wire.Bodies{eventStreamType: nil}},
		},
		Problems: "429 503",
	},
	routeOrders: {ID: "listOrders", Summary: "The shopper's own orders, the newest first",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "A page; cursor leads to the next one.",
				Bodies: wire.Bodies{wire.JSON: {wire.Orders{}}}},
		},
		Problems: "503",
	},
	routeOrder: {ID: "getOrder", Summary: "One of the shopper's own orders",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "The order.", Bodies: wire.Bodies{wire.JSON: {wire.Order{}}}},
		},
		Problems: "404 503",
	},
	routeCancel: {ID: "cancelOrder", Summary: "Release an unpaid hold",
		Security: byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "The order as it is now.", Bodies: wire.Bodies{wire.JSON: {wire.Order{}}}},
		},
		Problems: "404 409 429 503",
	},
	routeReceiver: {ID: "setReceiver", Summary: "Say where the goods go, until they are shipped",
		Security: byShopper,
		Body:     wire.Bodies{wire.JSON: {wire.Receiver{}}},
		Answers: []wire.Answer{
			{Status: 200, Says: "The order as it is now.", Bodies: wire.Bodies{wire.JSON: {wire.Order{}}}},
		},
		Problems: "404 409 413 429 503",
	},
	routeReceived: {ID: "receiveOrder", Summary: "Say that a shipped order has come",
		Description: "Without it, it counts as received receive_within after it was shipped.",
		Security:    byShopper,
		Answers: []wire.Answer{
			{Status: 200, Says: "The order as it is now.", Bodies: wire.Bodies{wire.JSON: {wire.Order{}}}},
		},
		Problems: "404 409 429 503",
	},
	routeCallback: {ID: "paymentCallback", Summary: "The cashier says that money was taken for an order",
		Description: "Answered once it is committed. The same payment again changes nothing, on whichever node. " +
			"Headers X-Cashier-Timestamp, X-Cashier-Nonce and X-Cashier-Signature sign it, as docs/cashier.md says; " +
			"with --dev and no cashier_key_file it is taken unsigned.",
		Security: byCashier,
		Body:     wire.Bodies{wire.JSON: {payment.Taken{}}},
		Answers: []wire.Answer{
			{Status: 200, Says: "What became of the money, and the order as it is now, if it is for one.",
				Bodies: wire.Bodies{wire.JSON: {wire.Receipt{}}}},
		},
		Problems: "404 409 413 422 503",
	},
	routeVerify: {ID: "verifyPayToken", Summary: "Is a payment token good?",
		Description: "For cashiers that check no signatures: whether the token is good, and its order still to be " +
			"paid. Signed like a callback.",
		Security: byCashier,
		Body:     wire.Bodies{wire.JSON: {wire.PayToken{}}},
		Answers: []wire.Answer{
			{Status: 200, Says: "Whether it is good; if so with its order, else with why not.",
				Bodies: wire.Bodies{wire.JSON: {wire.PayTokenVerdict{}}}},
		},
		Problems: "413 503",
	},
	routePayKeys: {ID: "payKeys", Summary: "Public keys of payment tokens",
		Description: "A JWK set (RFC 7517): the Ed25519 keys. Secrets of HS256 are not in it.",
		Answers: []wire.Answer{
			{Status: 200, Says: "The keys.", Bodies: wire.Bodies{"application/jwk-set+json": {map[string]any{}}}},
		},
	},
	routeStartBargain: {ID: "startBargain", Summary: "Start a bargain on a listing, whose price friends then cut down",
		Description: "One a shopper and listing: who has started theirs before gets it again. The code is to be " +
			"shared; nobody can guess one. Counts against the rate limits of grabs.",
		Security: byShopper,
		Headers:  []string{"BargainKey"},
		Body:     wire.Bodies{wire.JSON: {wire.BargainRequest{}}}, Optional: true,
		Answers: []wire.Answer{
			{Status: 200, Says: "Every business outcome.", Bodies: wire.Bodies{wire.JSON: {wire.BargainAnswer{}}}},
			{Status: 202, Says: "The outcome is not known yet: ask again, it counts once.",
				Bodies: wire.Bodies{wire.JSON: {wire.BargainAnswer{}}}, Headers: []string{"Retry-After"}},
		},
		Problems: "404 413 503",
	},
	routeBargain: {ID: "getBargain", Summary: "A bargain, for whoever has its code",
		Description: "Who started it, and who helped, see their own part if they say who they are. Counts against " +
			"the rate of the address (rate_limit.look). With Accept: text/event-stream a stream of server-sent " +
			"events: `bargain` with this object, at first and whenever it changes. A stream ends once the bargain is " +
			"over, and otherwise as that of /v1/events; who comes back to one that is over, with a Last-Event-ID, " +
			"gets a 204. Served at the display's address, too.",
		Security: append([]string{""}, byShopper...),
		Headers:  []string{"LastEventID"},
		Answers: []wire.Answer{
			{Status: 200, Says: "The bargain, or a stream.", Bodies: wire.Bodies{wire.JSON: {wire.Bargain{}},
				eventStreamType: nil}},
			{Status: 204, Says: "A stream would tell nothing more."},
		},
		Problems: "404 429 503",
	},
	routeCutBargain: {ID: "cutBargain", Summary: "Help: cut the price of somebody else's bargain",
		Description: "Once a friend and bargain; how much is drawn. Counts against the rate limits of grabs.",
		Security:    byShopper,
		Headers:     []string{"BargainKey"},
		Body:        wire.Bodies{wire.JSON: {wire.BargainRequest{}}}, Optional: true,
		Answers: []wire.Answer{
			{Status: 200, Says: "Every business outcome.", Bodies: wire.Bodies{wire.JSON: {wire.BargainAnswer{}}},
				Headers: []string{"Idempotency-Key"}},
			{Status: 202, Says: "The outcome is not known yet: ask again with the same key, or look at Location.",
				Bodies: wire.Bodies{wire.JSON: {wire.BargainAnswer{}}}, Headers: []string{"Location", "Retry-After",
					"Idempotency-Key"}},
		},
		Problems: "404 413 503",
	},
	routeBuy: {ID: "buyByBargain", Summary: "Buy by one's own bargain, at the price reached",
		Description: "A grab of one unit, answered as every grab. Where the play sells at the floor only, 409 (type " +
			"…:not-at-floor) before.",
		Security: byShopper,
		Headers:  []string{"GrabKey", "Transaction"},
		Body:     wire.Bodies{wire.JSON: {wire.BargainRequest{}}}, Optional: true,
		Answers:  grabAnswers,
		Problems: "404 409 413 422 503",
	},
	routeStorefront: {ID: "getStorefront", Summary: "The storefront",
		Description: "A page for shoppers, also at /shop/. " + storefrontSays,
		Answers: []wire.Answer{
			{Status: 200, Says: "The page.", Bodies: wire.Bodies{"text/html": nil},
				Headers: []string{"ETag", "Cache-Control"}},
			{Status: 304, Says: "What If-None-Match names is still right."},
		},
		Headers:  []string{"IfNoneMatch"},
		Problems: "404",
	},
	routeStorefrontFile: {ID: "getStorefrontFile", Summary: "A script or style sheet of the storefront",
		Description: "theme.css is the shop's own (storefront_theme). " + storefrontSays,
		Answers: []wire.Answer{
			{Status: 200, Says: "The file.", Bodies: wire.Bodies{"text/css": nil, "text/javascript": nil,
				"text/html": nil}, Headers: []string{"ETag", "Cache-Control"}},
			{Status: 304, Says: "What If-None-Match names is still right."},
		},
		Headers:  []string{"IfNoneMatch"},
		Problems: "404",
	},
}

const storefrontSays = "Only where the setting storefront, or dev, is on. Parameters in the query are passed over. " +
	"Served at the display's address, too."
