package httpapi

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/draw"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// adminRoute is one method of one path, and all that is decided about it: what its
// query, body, deadlines and idempotency are follows from here, and from nowhere
// else.
type adminRoute struct {
	method  string
	pattern string    // of http.ServeMux
	needs   auth.Role // the least role; auth.Anybody is open to all
	takes   bodyKind
	within  deadlineClass
	again   repetition
	does    adminHandler
	about   about
}

// suppliersOwn reports whether a supplier may call the route for itself: those about its own
// products, and no other.
func (to *adminRoute) suppliersOwn() bool {
	return to.pattern == suppliersProducts || strings.HasPrefix(to.pattern, suppliersProducts+"/")
}

// suppliersProducts is the path of a supplier's own products.
const suppliersProducts = "/admin/v1/suppliers/{supplier}/products"

// bodyKind is what the body of a request may be.
type bodyKind uint8

const (
	noBody bodyKind = iota
	jsonBody
	planBody
	listBody
	statementBody
	parcelsBody
	catalogueBody
)

// bodies says of each kind which media types it may have and how long it may be.
var bodies = [...]struct {
	types []string
	most  int64
	asked string // what to send
	tells bool   // its type may be left away: its first line tells
}{
	noBody:   {},
	jsonBody: {types: []string{"application/json"}, most: adminBodyBytes, asked: "application/json"},
	planBody: {
		types: []string{"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"},
		most:  maxPlanTextBytes, asked: "application/yaml or application/json with a plan",
	},
	listBody: {
		types: []string{"text/csv", "text/plain", "application/x-ndjson", "application/ndjson", "application/jsonl"},
		most:  MaxListBytes, asked: "text/csv, application/x-ndjson, or text/plain for an id a line", tells: true,
	},
	statementBody: {
		types: []string{"text/csv", "application/x-ndjson", "application/octet-stream"},
		most:  statement.MaxBytes, asked: "text/csv or application/x-ndjson with a statement",
	},
	parcelsBody: {
		types: []string{"text/csv", "text/plain", "application/x-ndjson", "application/ndjson", "application/jsonl"},
		most:  shipping.MaxBytes, asked: "text/csv or application/x-ndjson with a row for each order",
	},
	catalogueBody: {
		types: []string{"text/csv", "text/plain", "text/tab-separated-values", "application/x-ndjson",
			"application/ndjson", "application/jsonl", "application/json", "application/octet-stream"},
		most: catalogue.MaxBytes, asked: "text/csv, application/x-ndjson or application/json with products",
		tells: true,
	},
}

// deadlineClass says what bounds a request in time. Whatever the class, an answer
// may take as long as parts of it are taken, and a body as long as parts of it come.
type deadlineClass uint8

const (
	// command: all of it is done within AdminConfig.RequestTimeout.
	command deadlineClass = iota
	// change: a plan, or a change of the cluster, within planPatience times that.
	change
	// download: as long as parts of it are taken.
	download
	// upload: as long as parts of it come; what is done then is bounded by its route.
	upload
	// stream: until it ends by itself, or whoever takes it does.
	stream
)

// repetition says what doing it once more does.
type repetition uint8

const (
	// reads: changes nothing.
	reads repetition = iota
	// keyed: is done once for each Idempotency-Key.
	keyed
	// same: comes to the same by nature, whatever key there is.
	same
)

// about is what the description says of a route beside its types. problems are statuses
// that callers must be ready for, besides those that follow from the rest of the row.
type about struct{ id, summary, says, problems string }

const listSays = "All lines are checked first; a bad one is told by its number and nothing is changed. At most " +
	"268435456 bytes and 5000000 rows. With Accept: application/x-ndjson the answer is lines of " +
	"{\"committed\",\"of\"} while rows are taken in, and last the result, or a problem."

// adminRoutes is every route of the operations API.
var adminRoutes = []adminRoute{
	{"GET", "/livez", auth.Anybody, noBody, command, reads,
		gets((*AdminServer).live),
		about{"livez", "The process lives", "", ""}},
	{"GET", "/readyz", auth.Anybody, noBody, command, reads,
		gets((*AdminServer).ready),
		about{"readyz", "The node serves", "", "503"}},
	{"GET", "/metrics", auth.Viewer, noBody, command, reads,
		plain((*AdminServer).exposeMetrics).giving(wire.Bodies{"text/plain": nil, "application/openmetrics-text": nil,
			"application/vnd.google.protobuf": nil}),
		about{"metrics", "Metrics in Prometheus's format", "", ""}},
	{"GET", "/openapi.json", auth.Anybody, noBody, command, reads,
		plain((*AdminServer).openAPI).giving(wire.Bodies{wire.JSON: {map[string]any{}}}),
		about{"openapi", "This document", "", ""}},
	{"GET", "/runbook", auth.Anybody, noBody, command, reads,
		plain((*AdminServer).runbook).giving(wire.Bodies{"text/html": nil}),
		about{"runbook", "What each alarm means, and what to do about it", "", ""}},
	{"GET", "/{$}", auth.Anybody, noBody, command, reads,
		views(),
		about{"console", "The console", "", ""}},
	{"GET", "/{view}", auth.Anybody, noBody, command, reads,
		views(),
		about{"consoleView", "A view of the console", "Such as /now. Its parameters are the page's alone.", "404"}},
	{"GET", "/{view}/{of}", auth.Anybody, noBody, command, reads,
		views(),
		about{"consoleViewOf", "A view of the console, of one thing", "Such as /after/fans-day-10.", "404"}},
	{"POST", "/console/login", auth.Anybody, jsonBody, command, same,
		taking[wire.Login](asking((*AdminServer).login).giving(wire.Bodies{wire.JSON: {wire.ConsoleSession{}}})),
		about{"login", "Have a browser keep an operator's token",
			"In a cookie that scripts can't read (HttpOnly, Secure, SameSite=Strict) and that ends with the token. " +
				"Requests by it that change something need the header Doorbuster-Csrf with the csrf of the answer, " +
				"and come from a page of this address. Programs go on with their bearer token; one of a supplier " +
				"is refused (403).", ""}},
	{"POST", "/console/logout", auth.Anybody, noBody, command, same,
		asking((*AdminServer).logout).giving(wire.Bodies{wire.JSON: {wire.ConsoleSession{}}}),
		about{"logout", "Have a browser forget the token", "The token stays good until it expires.", ""}},
	{"GET", "/console/session", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).consoleSession),
		about{"getConsoleSession", "Who asks, and what a browser that has logged in needs",
			"For a page that was loaded anew.", ""}},
	{"GET", "/console/{file}", auth.Anybody, noBody, command, reads,
		asking((*AdminServer).consoleAsset).giving(wire.Bodies{"text/html": nil, "text/javascript": nil,
			"text/css": nil, "text/plain": nil, "image/svg+xml": nil}),
		about{"consoleFile", "A file of the console", "", "404"}},

	{"POST", "/admin/v1/plan", auth.Operator, planBody, change, keyed,
		finds((*AdminServer).applyPlan).awaiting(),
		about{"applyPlan", "Make products, sales, sessions and listings match a plan",
			"Applied whole or not at all. 422 lists every problem with its path and, where known, its line.", "422"}},
	{"GET", "/admin/v1/plan", auth.Viewer, noBody, change, reads,
		asking((*AdminServer).exportPlan).giving(wire.Bodies{"application/yaml": nil,
			wire.JSON: {map[string]any{}}}),
		about{"exportPlan", "The plan as it is, as a file that changes nothing when it is applied",
			"What has its default is left out. Comments say where operators have made something otherwise than it " +
				"was planned. Should applying it not be possible, or change something, the first lines say why. The " +
				"days of a daily session are a session each. Products are those that its sessions offer.",
			"404 409 503"}},
	{"GET", "/admin/v1/messages", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).messages),
		about{"listMessages", "What shoppers are told: the shop's words and those of sales", "", ""}},
	{"PUT", "/admin/v1/messages/{sale}/{name}", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).setMessage).awaiting(),
		about{"setMessage", "Give a sale its own words for a message",
			"As a plan with the sale's messages and without its sessions: at most 1024 bytes on one line for each " +
				"language, braces only of the message's placeholders. A language left out is in the shop's words. " +
				"What is applied later from a plan file replaces all of a sale's own words.", "404 422"}},
	{"DELETE", "/admin/v1/messages/{sale}/{name}", auth.Operator, noBody, command, keyed,
		gets((*AdminServer).resetMessage).awaiting(),
		about{"resetMessage", "Take a sale's own words for a message away", "", "404 422"}},
	{"POST", "/admin/v1/plan/back", auth.Operator, jsonBody, change, keyed,
		does((*AdminServer).planBack).awaiting(),
		about{"takePlanBack", "Take the last plan back",
			"Whole or not at all: what it changed is as it was just before, and what it made is deleted. A listing " +
				"in a session that there was stays, with nothing to sell. 422 says what can't be as it was: stock " +
				"under what is sold, a session that has opened. One step: the plan before it can't be taken back then.",
			"409 422"}},
	{"POST", "/admin/v1/messages/{sale}/{name}/back", auth.Operator, noBody, command, keyed,
		finds((*AdminServer).messageBack).awaiting(),
		about{"takeMessageBack", "Give a message the sale's words that it had before they were changed last",
			"By a plan or by hand. Asked for once more, that is taken back in turn.", "404 409 422"}},
	{"GET", "/admin/v1/history", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).history),
		about{"getHistory", "What was changed by plans, in words and with switches: who, when, from what to what",
			"The newest first. The last 64 changes by plans and of words are kept, and the last 64 of switches; the " +
				"audit trail goes further back. With kind=words, of a plan only what it changed of them.", "503"}},
	{"GET", "/admin/v1/approvals", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).approvals),
		about{"listApprovals", "Changes that a second operator must approve, and what has become of them",
			"The newest first, without their diffs; the newest 128 are kept, those that wait among them. Which " +
				"changes must be approved is what the settings approvals.* of the leader say.", "503"}},
	{"GET", "/admin/v1/approvals/{approval}", auth.Viewer, noBody, change, reads,
		gets((*AdminServer).approval),
		about{"getApproval", "One approval, with its diff",
			"While it waits, the diff is what approving it would change now. Of one that is over, what it was, as " +
				"far as there is room for it.", "404 503"}},
	{"POST", "/admin/v1/approvals/{approval}/approve", auth.Operator, jsonBody, change, keyed,
		decides(true),
		about{"approveChange", "Approve a change of another operator's, which is made then as it was asked for",
			"403 to whoever asked for it. 409 (base-changed) if it would change something else by now than when it " +
				"was asked for; 422 if it can't be made any more.", "404 409 422"}},
	{"POST", "/admin/v1/approvals/{approval}/reject", auth.Operator, jsonBody, change, keyed,
		decides(false),
		about{"rejectChange", "Reject a change that waits for approval, or take back one's own", "", "404 409"}},
	{"GET", "/admin/v1/products", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).products),
		about{"listProducts", "The catalogue, by pages", "", "503"}},
	{"GET", "/admin/v1/products/{product}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).product),
		about{"getProduct", "One product, and what sessions make of it", "", "404 503"}},
	{"DELETE", "/admin/v1/products/{product}", auth.Operator, noBody, command, keyed,
		deletes("product", deleteProduct),
		about{"deleteProduct", "Delete a product that no session offers", "", "404 409"}},
	{"POST", "/admin/v1/products/{product}/retire", auth.Operator, jsonBody, command, keyed,
		discards("product", "retire", retireProduct),
		about{"retireProduct", "Have no session list a product any more",
			"What lists it already goes on. Its supplier can't take that back.", "404 409"}},
	{"POST", "/admin/v1/products/{product}/revive", auth.Operator, jsonBody, command, keyed,
		discards("product", "revive", reviveProduct),
		about{"reviveProduct", "Let sessions list a product again that was retired", "", "404 409"}},
	{"GET", "/admin/v1/suppliers", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).suppliers),
		about{"listSuppliers", "Suppliers that have products, and how many", "", "503"}},
	{"GET", suppliersProducts, auth.Viewer, noBody, command, reads,
		finds((*AdminServer).supplierProducts),
		about{"listSupplierProducts", "A supplier's products, by pages",
			"Or the role supplier, for the supplier of its token.", "404 503"}},
	{"PUT", suppliersProducts, auth.Operator, catalogueBody, upload, keyed,
		asking((*AdminServer).importProducts).giving(wire.Bodies{wire.JSON: {wire.ProductsImport{}},
			wire.NDJSON: {wire.ImportProgress{}, wire.ProductsImport{}, wire.Problem{}}}),
		about{"importProducts", "Take a supplier's products in, one or millions",
			"Or the role supplier, for the supplier of its token. CSV with columns of ours, NDJSON, JSON, or the CSV " +
				"that Shopify, WooCommerce or Magento exports, recognised by its header. A row says all of its " +
				"product, " +
				"or only how much there is of one that is there. All rows are checked first; a bad one is told by " +
				"its " +
				"line and nothing is changed. At most 1073741824 bytes and 2000000 products. With Accept: " +
				"application/x-ndjson the answer is lines of {\"committed\",\"of\"} while rows are taken in, and " +
				"last " +
				"the result, or a problem.", "404 409 422"}},
	{"GET", suppliersProducts + "/{product}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).product),
		about{"getSupplierProduct", "One of a supplier's products",
			"Or the role supplier, for the supplier of its token.", "404 503"}},
	{"POST", "/admin/v1/suppliers/{supplier}/pull", auth.Operator, jsonBody, upload, keyed,
		asking((*AdminServer).pullCatalogue).giving(wire.Bodies{wire.JSON: {wire.ProductsImport{}}}),
		about{"pullCatalogue", "Fetch a supplier's catalogue now, from the URL that is set for it",
			"By the node that answers, as its setting catalogue.pulls says. It takes the place of what the supplier " +
				"had.", "404 409 422"}},
	{"POST", "/admin/v1/suppliers/{supplier}/reconciliations", auth.Operator, catalogueBody, upload, same,
		asking((*AdminServer).reconcileStock).giving(wire.Bodies{wire.JSON: {wire.StockReport{}}}),
		about{"reconcileStock", "Hold a supplier's figures against ours, product by product",
			"The body is a catalogue of which only the stock is looked at. Nothing is changed.", "404 409 422 503"}},
	{"GET", "/admin/v1/sales", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).sales),
		about{"listSales", "Sales", "", ""}},
	{"DELETE", "/admin/v1/sales/{sale}", auth.Operator, noBody, command, keyed,
		deletes("sale", deleteSale),
		about{"deleteSale", "Delete a sale with its sessions, if nobody has ordered from any",
			"Not while one of them is open, nor once one is settled.", "404 409"}},
	{"POST", "/admin/v1/sales/{sale}/archive", auth.Operator, jsonBody, command, keyed,
		discards("sale", "archive", archiveSale),
		about{"archiveSale", "Hide a sale whose sessions are over, and them, unless they are asked for", "",
			"404 409"}},
	{"POST", "/admin/v1/sales/{sale}/recall", auth.Operator, jsonBody, command, keyed,
		discards("sale", "recall", recallSale),
		about{"recallSale", "Take a sale and its sessions from the archive", "", "404 409"}},
	{"GET", "/admin/v1/sessions", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).sessions),
		about{"listAllSessions", "All sessions, drafts and ended ones too", "", ""}},
	{"GET", "/admin/v1/sessions/{session}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).session),
		about{"getSession", "One session, its listings with exact counts", "", "404"}},
	{"GET", "/admin/v1/sessions/{session}/checklist", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).checklist),
		about{"getChecklist", "What to look at before a session opens",
			"Stock, suppliers' figures, words in both languages, lists and profiles, keys, the cashier, clocks, the " +
				"quorum, zones and alarms, each ok, warn or bad, with what to do. Keys and settings are those of the " +
				"node that answers.", "404 503"}},
	{"GET", "/admin/v1/sessions/{session}/curve", auth.Viewer, noBody, stream, reads,
		asking((*AdminServer).sessionCurve).giving(wire.Bodies{wire.JSON: {wire.Curve{}}, eventStreamType: nil}),
		about{"getCurve", "How a session sells, second by second, for the last hour",
			"Of all its listings at once. As a stream, server-sent events named curve, one a second, each as the " +
				"JSON answer with what came since the one before; Last-Event-ID goes on where another stream ended. " +
				"Each node keeps it in memory from its start on, for the busiest 100 listings of sessions that are " +
				"open or have ended in the last hour.", "404 503"}},
	{"GET", "/admin/v1/sessions/{session}/report", auth.Viewer, noBody, change, reads,
		gets((*AdminServer).sessionReport),
		about{"getReport", "What came of a session, or has come of it so far",
			"Its books are exact, and the same on every node. What doors count (looks, refusals by reason, latency, " +
				"how many shoppers) each node keeps in memory: all are asked while the session is open; once it has " +
				"ended, nobody can pay any more, and it is settled, the leader keeps what all have counted, and " +
				"every node a copy. doors.counted says how many nodes it is of, and notes what is missing.",
			"404 409 503"}},
	{"POST", "/admin/v1/sessions/{session}/report/profile", auth.Operator, jsonBody, change, keyed,
		makes((*AdminServer).reportProfile),
		about{"defineReportProfile", "Make a profile of the switches at the height of a session",
			"Of those that were not as they normally are, as its report has them. The profile of the next session " +
				"can name it. A profile that there is with other switches stays as it is: 409.", "404 409 503"}},
	{"DELETE", "/admin/v1/sessions/{session}", auth.Operator, noBody, command, keyed,
		deletes("session", deleteSession),
		about{"deleteSession", "Delete a session that nobody has ordered from",
			"Not while it is open, nor once it is settled.", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/archive", auth.Operator, jsonBody, command, keyed,
		discards("session", "archive", archiveSession),
		about{"archiveSession", "Hide a session that is over, unless it is asked for", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/recall", auth.Operator, jsonBody, command, keyed,
		discards("session", "recall", recallSession),
		about{"recallSession", "Take a session from the archive", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/publish", auth.Operator, jsonBody, command, keyed,
		steer(engine.SessionPublish),
		about{"publishSession", "Let a draft open at its start", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/pause", auth.Operator, jsonBody, command, keyed,
		steer(engine.SessionPause),
		about{"pauseSession", "Stop selling for now", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/resume", auth.Operator, jsonBody, command, keyed,
		steer(engine.SessionResume),
		about{"resumeSession", "Sell again", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/end", auth.Operator, jsonBody, command, keyed,
		steer(engine.SessionEnd).awaiting(),
		about{"endSession", "End the session now; what is held may still be paid", "", "404 409"}},
	{"POST", "/admin/v1/sessions/{session}/settle", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).settle),
		about{"settleSession", "Settle an ended session: its orders change no more, and leave memory for the ledger",
			"Once nothing of it is undecided. The leader does so by itself settle_after its end. The orders leave " +
				"memory when the ledger of every voter has them on disk (event session_cleared), and are found as " +
				"before all along.", "404 409"}},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).counts),
		about{"getCounts", "A listing's exact counts at a log index", "", "404"}},
	{"POST", "/admin/v1/sessions/{session}/skus/{sku}/stock", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).addStock),
		about{"addStock", "Put more units up, or take free ones away", "", "404 409"}},
	{"GET", "/admin/v1/sessions/{session}/shipping", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).shipping),
		about{"getShipping", "Where a session's paid orders are on their way",
			"Of listings with a delivery. As the node that answers has applied it.", "404 503"}},
	// What is done of it already, the orders say themselves.
	{"POST", "/admin/v1/sessions/{session}/review", auth.Operator, jsonBody, upload, same,
		makes((*AdminServer).review),
		about{"reviewOrders", "Take the second look at an ended session's paid orders, or decide about some by hand",
			"Without orders: at each that nobody has looked at. Risk lists as they are now by shopper, and by the " +
				"receiver's phone and address: block rejects, and the money goes back; challenge holds. Orders that " +
				"go to one phone or address and are of several shoppers are held, and so is what the outside risk " +
				"service has doubts about. What passes may be exported. A verdict by hand stands until another; it " +
				"may change until the order is exported.", "404 409 422 503"}},
	{"POST", "/admin/v1/sessions/{session}/exports", auth.Operator, jsonBody, upload, keyed,
		makes((*AdminServer).export),
		about{"exportOrders", "Have what has passed go out to the warehouse, under a number",
			"Orders that are out already stay in their export. Paid orders that need an address and have none are " +
				"told, and stay. One that broke off goes on with the same Idempotency-Key; else what was left goes " +
				"out with the next. With the number of an export nothing goes out, and that one is told of.",
			"404 409 503"}},
	{"GET", "/admin/v1/sessions/{session}/exports/{export}", auth.Operator, noBody, download, reads,
		asking((*AdminServer).writeExport).giving(wire.Bodies{"text/csv": nil, wire.NDJSON: {wire.ExportRow{}}}),
		about{"getExport", "An export for the warehouse, with receivers in plain",
			"The same orders each time, but for those that were taken back since. In CSV, what a spreadsheet would " +
				"take for a formula is led in by an apostrophe.", "404 503"}},
	{"POST", "/admin/v1/sessions/{session}/parcels", auth.Operator, parcelsBody, upload, keyed,
		takesParcels,
		about{"shipOrders", "Take in which carrier has which order, with its tracking number",
			"CSV whose first line names the columns order_no, carrier and tracking, in any order and with others " +
				"beside them, or NDJSON with these members. Taken whole or not at all: every bad row is told by its " +
				"line (the first 10000). Rows that say what is known already change nothing. At most 67108864 bytes " +
				"and 500000 rows.", "404 409 422"}},
	{"POST", "/admin/v1/sessions/{session}/received", auth.Operator, parcelsBody, upload, keyed,
		takesReceived,
		about{"receiveOrders", "Take in which orders have arrived",
			"CSV or NDJSON with order_no, or a number a line; as for parcels. What nobody carries (delivery collect " +
				"or virtual) may be handed over once it has passed the second look.", "404 409 422"}},
	{"GET", "/admin/v1/orders", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).orders),
		about{"findOrders", "Find orders", "", ""}},
	{"GET", "/admin/v1/orders/{order_no}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).order),
		about{"getAnyOrder", "One order", "", "404"}},
	{"POST", "/admin/v1/orders/{order_no}/void", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).void),
		about{"voidOrder", "Take an order back: a hold is released, a paid one becomes refund_due", "", "404 409"}},
	{"POST", "/admin/v1/orders/{order_no}/extend", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).extend),
		about{"extendOrder", "Give a hold longer to be paid", "", "404 409"}},
	{"GET", "/admin/v1/plays", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).plays),
		about{"listPlays", "Templates of plays, with their versions", "", "503"}},
	{"GET", "/admin/v1/bargains", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).bargains),
		about{"findBargains", "Find bargains", "Those of settled sessions are gone: their orders and the trail stay.",
			"503"}},
	{"GET", "/admin/v1/bargains/{code}", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).bargain),
		about{"getAnyBargain", "One bargain, with every cut and who made it", "", "404 503"}},
	{"POST", "/admin/v1/bargains/{code}/end", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).endBargain),
		about{"endBargain", "End an open bargain: nobody cuts it or buys by it any more",
			"A unit that is set aside for it goes back on sale.", "404 409"}},
	{"GET", "/admin/v1/refunds", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).refunds),
		about{"listRefundsDue", "Refunds that are due, the oldest first",
			"Money that came in and has to go back, and that the cashier has not confirmed as paid back; one that it " +
				"confirms leaves the list. As the node that answers has applied it.", ""}},
	// Each payment is booked once, whoever tells of it how often.
	{"POST", "/admin/v1/reconciliations", auth.Operator, statementBody, upload, same,
		asking((*AdminServer).reconcile).giving(wire.Bodies{wire.JSON: {reconcile.Report{}},
			wire.NDJSON: {reconcileLine{}}}),
		about{"reconcile", "Hold a statement of the cashier against the orders, and book what got lost",
			"The body is the statement: CSV with the header payment_id,order_no,amount,currency,kind,at (and " +
				"transaction_id and refund_id), or NDJSON with these members, in UTF-8, at most 4 GiB and 20,000,000 " +
				"lines, of at most 64 currencies and 1,000 days (UTC). Rows that can't be about orders of ours, such " +
				"as other order numbers, payouts, fees, disputes, totals and empty rows, are counted under not_ours. " +
				"If what could be ours is malformed, nothing of the file is taken. Each refund row stands for " +
				"itself, by its refund_id where there is one. Payments that nobody had told of are booked, as late " +
				"as the statement says they were; the same statement again changes nothing. One run at a time on a " +
				"node, from the first byte that comes in; the last must come within an hour. With Accept: " +
				"application/x-ndjson the answer is a line {\"progress\": {phase, rows, of}} now and then, and " +
				"{\"report\": …} or {\"problem\": …} as the last one.", "408 409 422 503"}},
	{"GET", "/admin/v1/reconciliations", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).reports),
		about{"listReconciliations", "Reports of statements that the nodes have reconciled",
			"The newest first, without their findings, days and listings; each node keeps 400, and copies those of " +
				"the others.", ""}},
	{"POST", "/admin/v1/reconciliations/{id}/set-aside", auth.Operator, jsonBody, command, same,
		makes((*AdminServer).setAside),
		about{"setAside", "Note that somebody has seen to differences of a report",
			"They count as open no more, also when they are found again. Who did it, when and why is kept as a " +
				"report of its own.", "404 409"}},
	{"GET", "/admin/v1/reconciliations/{id}", auth.Viewer, noBody, download, reads,
		asking((*AdminServer).report).giving(wire.Bodies{wire.JSON: {reconcile.Report{}}, "text/csv": nil}),
		about{"getReconciliation", "A report with all of its findings", "On any node, whichever ran it.", "404"}},
	{"GET", "/admin/v1/alarms", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).alarms),
		about{"listAlarms", "What needs seeing to, on all nodes",
			"The alarms of the node that answers and of those that it hears: nodes, ledgers, listings, the cashier " +
				"and refunds, statements, doors, keys, logs and disks. As of half a second ago at most.", ""}},
	{"GET", "/admin/v1/hot", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).hotProducts),
		about{"listHot", "The products that this node is asked for most, planned or not",
			"Looks and grabs of the last five seconds, from samples. Other nodes have their own.", ""}},
	{"POST", "/admin/v1/alarms/{alarm}/acknowledge", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).acknowledgeAlarm),
		about{"acknowledgeAlarm", "Acknowledge the alarms of a name that are on",
			"Nobody is woken for them any more. One that begins later, or is about something else, is not " +
				"acknowledged.", "404 409"}},
	{"POST", "/admin/v1/alarms/{alarm}/silence", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).silenceAlarm),
		about{"silenceAlarm", "Have nobody told of alarms of a name for a while", "They stay in the list.", "404"}},
	{"GET", "/admin/v1/refusals", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).refusals),
		about{"findRefusals", "Why a shopper was refused",
			"Asks every node that serves shoppers. Each remembers in memory what it refused itself; a journal is " +
				"bounded and overwrites the oldest first, and the answer says so.", ""}},
	{"GET", "/admin/v1/events", auth.Viewer, noBody, stream, reads,
		asking((*AdminServer).events).giving(wire.Bodies{wire.NDJSON: {wire.TrailEvent{}, wire.TrailHeartbeat{}}}),
		about{"streamTrail", "The committed events, as they come",
			"One JSON object a line: the same events, in the same order, on every node. Goes on as they come, with a " +
				"heartbeat every 10 s without one: all up to its index has been told. To go on after a break, ask " +
				"from the position behind the last event: INDEX.N+1, or from the heartbeat's index + 1. Who does not " +
				"take what is sent for 10 s is cut off. A node has 64 places for readers; once all are taken, an " +
				"operator with many gives way to one with fewer, and their newest stream ends.", "410 503"}},
	{"GET", "/admin/v1/audit", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).audit),
		about{"readAudit", "The audit trail, by pages",
			"The same events as the stream's, of one order, one session or one operator, or all. A page may hold " +
				"fewer events than asked for while more follow: next is missing only at the end.", "503"}},

	{"GET", "/admin/v1/sinks", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).listSinks),
		about{"listSinks", "Where committed changes flow to, and how far they have come",
			"How it goes is known on the node that leads; the others know what is noted.", ""}},
	{"GET", "/admin/v1/sinks/{sink}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).sinkNamed),
		about{"getSink", "One sink", "", "404"}},
	{"POST", "/admin/v1/sinks/{sink}/pause", auth.Operator, jsonBody, command, keyed,
		steerSink(engine.SinkPause),
		about{"pauseSink", "Hand a sink nothing more for now",
			"What is under way is finished within seconds, or broken off.", "404"}},
	{"POST", "/admin/v1/sinks/{sink}/resume", auth.Operator, jsonBody, command, keyed,
		steerSink(engine.SinkResume),
		about{"resumeSink", "Feed a sink again, from where it is", "", "404"}},
	{"POST", "/admin/v1/sinks/{sink}/replay", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).replaySink),
		about{"replaySink", "Have a sink go on from another event: what comes behind it is handed over again",
			"Under the same ids as before, with orders as they are now. Also the way on for a sink whose events are " +
				"gone. 410 if the trail does not reach back so far.", "404 410 503"}},
	{"POST", "/admin/v1/sinks/{sink}/forget", auth.Operator, jsonBody, command, keyed,
		steerSink(engine.SinkForget),
		about{"forgetSink", "Forget a sink that is configured no more, and its dead letters", "It is given as it was.",
			"404 409"}},
	{"GET", "/admin/v1/sinks/{sink}/letters", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).letters),
		about{"listDeadLetters", "Changes that a sink's other side refused for good", "", "404"}},
	{"POST", "/admin/v1/sinks/{sink}/letters/send", auth.Operator, jsonBody, command, keyed,
		changeLetters(engine.SinkAgain),
		about{"sendDeadLetters", "Send dead letters again, with their orders as they are now",
			"Those that arrive leave the list; those that are refused again stay.", "404"}},
	{"POST", "/admin/v1/sinks/{sink}/letters/drop", auth.Operator, jsonBody, command, keyed,
		changeLetters(engine.SinkDrop),
		about{"dropDeadLetters", "Drop dead letters: they are not sent any more", "", "404"}},

	{"GET", "/admin/v1/switches", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).switches),
		about{"getSwitches", "Switches, profiles and the last changes", "", "503"}},
	{"PATCH", "/admin/v1/switches", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).setSwitches),
		about{"setSwitches", "Turn switches, on all nodes within a second", "", "409"}},
	{"POST", "/admin/v1/switches/back", auth.Operator, jsonBody, command, keyed,
		turnAll(engine.SwitchBack),
		about{"turnSwitchesBack", "Take the last change of switches back", "", "409"}},
	{"POST", "/admin/v1/switches/normal", auth.Operator, jsonBody, command, keyed,
		turnAll(engine.SwitchNormal),
		about{"turnSwitchesNormal", "Turn all switches as they are while nobody says otherwise", "", "409"}},
	{"GET", "/admin/v1/profiles", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).profiles),
		about{"listProfiles", "Named sets of switches", "", "503"}},
	{"GET", "/admin/v1/profiles/{profile}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).profile),
		about{"getProfile", "One profile", "", "404 503"}},
	{"PUT", "/admin/v1/profiles/{profile}", auth.Operator, jsonBody, command, keyed,
		makes((*AdminServer).defineProfile),
		about{"defineProfile", "Define a profile, or define it anew", "", "409"}},
	{"DELETE", "/admin/v1/profiles/{profile}", auth.Operator, jsonBody, command, keyed,
		turnAll(engine.ProfileForget),
		about{"forgetProfile", "Forget a profile; what it has turned on stays", "", "404 409"}},
	{"POST", "/admin/v1/profiles/{profile}/apply", auth.Operator, jsonBody, command, keyed,
		turnAll(engine.SwitchProfile),
		about{"applyProfile", "Turn a profile's switches on, on all nodes within a second", "", "404 409"}},

	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/draw", auth.Viewer, noBody, download, reads,
		asking((*AdminServer).draw).giving(wire.Bodies{wire.JSON: {wire.OpsDraw{}},
			wire.NDJSON: {draw.Header{}, wire.DrawEntry{}, draw.Trailer{}}}),
		about{"getOpsDraw", "A listing's draw: a page, or the file that doorbuster draw verify checks",
			"", "404 409 503"}},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/waitlist", auth.Viewer, noBody, command, reads,
		finds((*AdminServer).waitlist),
		about{"getWaitlist", "Who waits for a listing", "", "404 503"}},

	{"GET", "/admin/v1/risk", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).riskLists),
		about{"listRisk", "Risk lists, and how many each names", "", "503"}},
	{"GET", "/admin/v1/risk/{kind}", auth.Viewer, noBody, download, reads,
		asking((*AdminServer).list).giving(wholeLists),
		about{"getRisk", "A page of a risk list, or all of it", "", "404 503"}},
	{"PUT", "/admin/v1/risk/{kind}", auth.Operator, listBody, upload, keyed,
		replacesRisk,
		about{"replaceRisk", "Replace a risk list, whole and in one step", listSays, "404 409 422"}},
	{"PATCH", "/admin/v1/risk/{kind}", auth.Operator, listBody, upload, keyed,
		changesRisk,
		about{"changeRisk", "Add to a risk list, change rows, or take them off (level none)",
			listSays + " Rows are taken in step by step: after a 503 send all of them again.", "404 409 422"}},
	{"GET", "/admin/v1/risk/{kind}/{id}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).listRow),
		about{"findRisk", "What a risk list says of one; of an IP address that is not on it, the prefix that says " +
			"the worst of it",
			"", "404 503"}},
	{"DELETE", "/admin/v1/risk/{kind}/{id}", auth.Operator, noBody, command, keyed,
		finds((*AdminServer).dropRow),
		about{"removeRisk", "Take one off a risk list", "", "404 409"}},
	{"GET", "/admin/v1/shoppers/{shopper}/personal-data", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).personalData),
		about{"getPersonalData", "Whether personal data of a shopper is held, and what became of it",
			"It never has the data itself.", "503"}},
	{"DELETE", "/admin/v1/shoppers/{shopper}/personal-data", auth.Admin, noBody, command, keyed,
		finds((*AdminServer).erasePersonalData),
		about{"erasePersonalData", "Erase a shopper's personal data on all nodes",
			"The key that it was sealed with is destroyed. The answer says where copies of it are left, and when the " +
				"last is gone.", "409 503"}},
	{"GET", "/admin/v1/personal-keys", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).personalKeys),
		about{"listPersonalKeys", "Keys of the key file for personal data: what they wrap, and which may be removed",
			"", ""}},
	{"GET", "/admin/v1/allowlists", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).allowLists),
		about{"listAllowLists", "Allow lists, and how many each names", "", "503"}},
	{"GET", "/admin/v1/allowlists/{name}", auth.Viewer, noBody, download, reads,
		asking((*AdminServer).list).giving(wholeLists),
		about{"getAllowList", "A page of an allow list, or all of it", "", "404 503"}},
	{"PUT", "/admin/v1/allowlists/{name}", auth.Operator, listBody, upload, keyed,
		replacesNames,
		about{"replaceAllowList", "Replace an allow list, whole and in one step", listSays, "404 409 422"}},
	{"PATCH", "/admin/v1/allowlists/{name}", auth.Operator, listBody, upload, keyed,
		changesNames,
		about{"changeAllowList", "Add to an allow list, change rows, or take them off (level none)",
			listSays + " Rows are taken in step by step: after a 503 send all of them again.", "404 409 422"}},
	{"DELETE", "/admin/v1/allowlists/{name}", auth.Operator, noBody, command, keyed,
		finds((*AdminServer).dropList),
		about{"forgetAllowList", "Forget an allow list: nobody is on it any more", "", "404 409"}},
	{"GET", "/admin/v1/allowlists/{name}/{id}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).listRow),
		about{"findAllowed", "One of an allow list", "", "404 503"}},
	{"DELETE", "/admin/v1/allowlists/{name}/{id}", auth.Operator, noBody, command, keyed,
		finds((*AdminServer).dropRow),
		about{"removeAllowed", "Take one off an allow list", "", "404 409"}},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Viewer, noBody, download, reads,
		asking((*AdminServer).list).giving(wholeLists),
		about{"getReservations", "A page of the reservations of a listing (before its start), or all of it",
			"", "404 503"}},
	{"PUT", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Operator, listBody, upload, keyed,
		replacesNames,
		about{"replaceReservations", "Replace the reservations of a listing (before its start), whole and in one step",
			listSays, "404 409 422"}},
	{"PATCH", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Operator, listBody, upload, keyed,
		changesNames,
		about{"changeReservations", "Add to the reservations of a listing (before its start), change rows, or take " +
			"them off (level none)",
			listSays + " Rows are taken in step by step: after a 503 send all of them again.", "404 409 422"}},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/reservations/{id}", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).listRow),
		about{"findReservation", "One of the reservations of a listing", "", "404 503"}},
	{"DELETE", "/admin/v1/sessions/{session}/skus/{sku}/reservations/{id}", auth.Operator, noBody, command, keyed,
		finds((*AdminServer).dropRow),
		about{"removeReservation", "Take one off the reservations of a listing", "", "404 409"}},

	// Each says how the cluster is to be, not how it is to differ; a promote is for
	// one generation.
	{"GET", "/admin/v1/cluster", auth.Viewer, noBody, command, reads,
		gets((*AdminServer).clusterStatus),
		about{"getCluster", "The nodes as this one sees them", "", ""}},
	{"POST", "/admin/v1/cluster/join", auth.Admin, jsonBody, change, same,
		joins,
		about{"joinNode", "Let a node into the cluster",
			"Start the node with the cluster's id and certificates; it is sent the state.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/remove", auth.Admin, jsonBody, change, same,
		removes,
		about{"removeNode", "Take a node out of the cluster for good",
			"Refused where it would break the quorum. A node that was taken out can come back only from scratch, " +
				"under a new id.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/transfer", auth.Admin, jsonBody, change, same,
		transfers,
		about{"transferLeadership", "Hand leadership to another node",
			"Refused unless all voters are well.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/snapshot", auth.Admin, jsonBody, change, same,
		snapshots,
		about{"takeSnapshot", "Take a snapshot on the node that answers", "", "409 422 503"}},
	{"POST", "/admin/v1/cluster/zone-ack", auth.Admin, jsonBody, change, same,
		setsZoneAck,
		about{"setZoneAck", "Change when another zone must have what shoppers are told",
			"With require nothing is granted while no voter of another zone answers; prefer goes on then, with an " +
				"alarm; off is the plain quorum.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/prefer", auth.Admin, jsonBody, change, same,
		prefers,
		about{"preferZone", "Name the zone that leadership is to be in",
			"Leadership moves there by itself once a voter of that zone has caught up.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/drain", auth.Admin, jsonBody, change, same,
		drains("drain", true),
		about{"drainNodes", "Keep new shoppers away from a node or a zone, and leadership too",
			"Name either a node or a zone.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/undrain", auth.Admin, jsonBody, change, same,
		drains("undrain", false),
		about{"undrainNodes", "Let shoppers come to a node or a zone again",
			"Name either a node or a zone.", "409 422 503"}},
	{"POST", "/admin/v1/cluster/promote", auth.Admin, jsonBody, change, same,
		promotes,
		about{"promoteZone", "Make the surviving zone take over, on the node that answers",
			"For when a quorum is lost with the other zone. Say one of dry_run, token and confirm. Refused while a " +
				"quorum lives. The generation is raised, and nodes of older ones are refused from then on.",
			"409 422 503"}},
	{"GET", "/admin/v1/cluster/backup", auth.Admin, noBody, stream, reads,
		asking((*AdminServer).backup).giving(wire.Bodies{"application/octet-stream": nil}),
		about{"takeBackup", "The whole shop at one log index, while selling",
			"One at a time from each node. It is the state and what the node's ledger has kept of before: the orders " +
				"of settled sessions, and the trail of events; each part with checksums. While the ledger is behind " +
				"or lacks orders, 409: try again, or ask another node. An answer that breaks off is worth nothing.",
			"409 422 503"}},
}

// route builds the mux: one handler a path, which tells its methods apart, so
// that a wrong one gets a problem document and an Allow header.
func (s *AdminServer) route() {
	s.mux = http.NewServeMux()
	var patterns []string
	byPattern := map[string][]*adminRoute{}
	for i := range adminRoutes {
		r := &adminRoutes[i]
		if byPattern[r.pattern] == nil {
			patterns = append(patterns, r.pattern)
		}
		byPattern[r.pattern] = append(byPattern[r.pattern], r)
	}
	for _, pattern := range patterns {
		routes := byPattern[pattern]
		var allow []string
		for _, r := range routes {
			allow = append(allow, r.method)
			if r.method == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
		}
		allowed := strings.Join(allow, ", ")
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			at := slices.IndexFunc(routes, func(c *adminRoute) bool { return c.method == method })
			if at < 0 {
				w.Header().Set("Allow", allowed)
				s.problem(w, r, wrongMethod, "Use "+allowed+".")
				return
			}
			s.serve(w, r, routes[at])
		})
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, notFound, "No route has this path. See /openapi.json.")
	})
}

// serve checks who asks, and what the table says of the route, and hands the
// request to it.
func (s *AdminServer) serve(w http.ResponseWriter, r *http.Request, to *adminRoute) {
	who := operator{Bearer: &auth.Bearer{Role: auth.Admin}, name: "dev"}
	if !s.dev && to.needs != auth.Anybody && !(s.openMetrics && to.pattern == "/metrics") {
		var ok bool
		if who, ok = s.authorize(w, r, to); !ok {
			return
		}
	}
	if kind, wrong := wrongBody(to.takes, r); wrong != "" {
		s.problem(w, r, kind, wrong)
		return
	}
	held, let := who.Within(r.Context())
	defer let()
	answer := s.paced(w, r, to, who.Over)
	if wrong := who.intends(r, to); wrong != "" {
		s.problem(w, r, malformed, wrong)
		return
	}
	// What is brought is done to its end once all of it is there; what is sent ends
	// with the right to it.
	if to.within == download || to.within == stream {
		answer.sends, r = true, r.WithContext(held)
	}
	ctx, stop := withOperator(r.Context(), who), context.CancelFunc(func() {})
	switch to.within {
	case command:
		ctx, stop = context.WithTimeout(ctx, s.timeout)
	case change:
		ctx, stop = context.WithTimeout(ctx, planPatience*s.timeout)
	case download:
		ctx, stop = context.WithCancel(ctx)
		answer.stalled = time.AfterFunc(s.patience, stop)
		defer answer.stalled.Stop()
	}
	defer stop()
	r = r.WithContext(ctx)
	err := to.does.serve(s, answer, r)
	var awaits *engine.Awaits
	if errors.As(err, &awaits) {
		err = s.awaitsApproval(answer, r, awaits.Approval)
	}
	if err != nil {
		s.failed(answer, r, err)
	}
	if answer.cut {
		panic(http.ErrAbortHandler) // an end in good order would say that this is all
	}
}

// wrongBody says what is wrong with a body by what its headers say, "" if nothing.
func wrongBody(takes bodyKind, r *http.Request) (problemKind, string) {
	if r.ContentLength == 0 {
		return 0, ""
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return wrongMediaType, uncoded
	}
	body := &bodies[takes]
	given := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); takes != noBody && !(given == "" && body.tells) &&
		(err != nil || !slices.Contains(body.types, kind)) {
		return wrongMediaType, "Send Content-Type: " + body.asked + "."
	}
	if r.ContentLength > body.most && takes != noBody {
		return tooLarge, fmt.Sprintf("The body may have %d bytes.", body.most)
	}
	return 0, ""
}

const uncoded = "Bodies are taken as they are: send it without Content-Encoding."
