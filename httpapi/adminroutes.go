package httpapi

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/reconcile/statement"
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
}

// bodyKind is what the body of a request may be.
type bodyKind uint8

const (
	noBody bodyKind = iota
	jsonBody
	planBody
	listBody
	statementBody
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
	planBody: {types: []string{"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}, most: maxPlanTextBytes,
		asked: "application/yaml or application/json with a plan"},
	listBody: {types: []string{"text/csv", "text/plain", "application/x-ndjson", "application/ndjson", "application/jsonl"}, most: MaxListBytes,
		asked: "text/csv, application/x-ndjson, or text/plain for an id a line", tells: true},
	statementBody: {types: []string{"text/csv", "application/x-ndjson", "application/octet-stream"}, most: statement.MaxBytes,
		asked: "text/csv or application/x-ndjson with a statement"},
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

// adminHandler is what a route does, and what it may be asked.
type adminHandler struct {
	query query
	serve func(s *AdminServer, w http.ResponseWriter, r *http.Request, raw string) (wrong string)
}

// plain is a handler that nothing can be asked.
func plain(handle func(*AdminServer, http.ResponseWriter, *http.Request)) adminHandler {
	return asking(func(s *AdminServer, w http.ResponseWriter, r *http.Request, _ *struct{}) { handle(s, w, r) })
}

// asking is a handler that may be asked what Q says.
func asking[Q any](handle func(*AdminServer, http.ResponseWriter, *http.Request, *Q)) adminHandler {
	known := queryOf[Q]()
	return adminHandler{known, func(s *AdminServer, w http.ResponseWriter, r *http.Request, raw string) string {
		q := new(Q)
		if wrong := known.read(raw, reflect.ValueOf(q).Elem()); wrong != "" {
			return wrong
		}
		handle(s, w, r, q)
		return ""
	}}
}

// adminRoutes is every route of the operations API.
var adminRoutes = []adminRoute{
	{"GET", "/livez", auth.Anybody, noBody, command, reads, plain((*AdminServer).live)},
	{"GET", "/readyz", auth.Anybody, noBody, command, reads, plain((*AdminServer).ready)},
	{"GET", "/metrics", auth.Viewer, noBody, command, reads, plain((*AdminServer).exposeMetrics)},
	{"GET", "/openapi.json", auth.Anybody, noBody, command, reads, plain((*AdminServer).openAPI)},
	{"GET", "/{$}", auth.Anybody, noBody, command, reads, plain((*AdminServer).consolePage)},
	{"GET", "/console/{file}", auth.Anybody, noBody, command, reads, plain((*AdminServer).consoleAsset)},

	{"POST", "/admin/v1/plan", auth.Operator, planBody, change, keyed, asking((*AdminServer).applyPlan)},
	{"GET", "/admin/v1/messages", auth.Viewer, noBody, command, reads, plain((*AdminServer).messages)},
	{"PUT", "/admin/v1/messages/{sale}/{name}", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).setMessage)},
	{"DELETE", "/admin/v1/messages/{sale}/{name}", auth.Operator, noBody, command, keyed, plain((*AdminServer).resetMessage)},
	{"GET", "/admin/v1/products", auth.Viewer, noBody, command, reads, plain((*AdminServer).products)},
	{"GET", "/admin/v1/sales", auth.Viewer, noBody, command, reads, plain((*AdminServer).sales)},
	{"GET", "/admin/v1/sessions", auth.Viewer, noBody, command, reads, plain((*AdminServer).sessions)},
	{"GET", "/admin/v1/sessions/{session}", auth.Viewer, noBody, command, reads, plain((*AdminServer).session)},
	{"POST", "/admin/v1/sessions/{session}/publish", auth.Operator, jsonBody, command, keyed, plain(steer(engine.SessionPublish))},
	{"POST", "/admin/v1/sessions/{session}/pause", auth.Operator, jsonBody, command, keyed, plain(steer(engine.SessionPause))},
	{"POST", "/admin/v1/sessions/{session}/resume", auth.Operator, jsonBody, command, keyed, plain(steer(engine.SessionResume))},
	{"POST", "/admin/v1/sessions/{session}/end", auth.Operator, jsonBody, command, keyed, plain(steer(engine.SessionEnd))},
	{"POST", "/admin/v1/sessions/{session}/settle", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).settle)},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}", auth.Viewer, noBody, command, reads, plain((*AdminServer).counts)},
	{"POST", "/admin/v1/sessions/{session}/skus/{sku}/stock", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).addStock)},
	{"GET", "/admin/v1/orders", auth.Viewer, noBody, command, reads, asking((*AdminServer).orders)},
	{"GET", "/admin/v1/orders/{order_no}", auth.Viewer, noBody, command, reads, plain((*AdminServer).order)},
	{"POST", "/admin/v1/orders/{order_no}/void", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).void)},
	{"POST", "/admin/v1/orders/{order_no}/extend", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).extend)},
	{"GET", "/admin/v1/refunds", auth.Viewer, noBody, command, reads, asking((*AdminServer).refunds)},
	// Each payment is settled once, whoever tells of it how often.
	{"POST", "/admin/v1/reconciliations", auth.Operator, statementBody, upload, same, asking((*AdminServer).reconcile)},
	{"GET", "/admin/v1/reconciliations", auth.Viewer, noBody, command, reads, plain((*AdminServer).reports)},
	{"POST", "/admin/v1/reconciliations/{id}/set-aside", auth.Operator, jsonBody, command, same, plain((*AdminServer).setAside)},
	{"GET", "/admin/v1/reconciliations/{id}", auth.Viewer, noBody, download, reads, asking((*AdminServer).report)},
	{"GET", "/admin/v1/alarms", auth.Viewer, noBody, command, reads, plain((*AdminServer).alarms)},
	{"GET", "/admin/v1/refusals", auth.Viewer, noBody, command, reads, asking((*AdminServer).refusals)},
	{"GET", "/admin/v1/events", auth.Viewer, noBody, stream, reads, asking((*AdminServer).events)},
	{"GET", "/admin/v1/audit", auth.Viewer, noBody, command, reads, asking((*AdminServer).audit)},

	{"GET", "/admin/v1/switches", auth.Viewer, noBody, command, reads, plain((*AdminServer).switches)},
	{"PATCH", "/admin/v1/switches", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).setSwitches)},
	{"POST", "/admin/v1/switches/back", auth.Operator, jsonBody, command, keyed, plain(turnAll(engine.SwitchBack))},
	{"POST", "/admin/v1/switches/normal", auth.Operator, jsonBody, command, keyed, plain(turnAll(engine.SwitchNormal))},
	{"GET", "/admin/v1/profiles", auth.Viewer, noBody, command, reads, plain((*AdminServer).profiles)},
	{"GET", "/admin/v1/profiles/{profile}", auth.Viewer, noBody, command, reads, plain((*AdminServer).profile)},
	{"PUT", "/admin/v1/profiles/{profile}", auth.Operator, jsonBody, command, keyed, plain((*AdminServer).defineProfile)},
	{"DELETE", "/admin/v1/profiles/{profile}", auth.Operator, jsonBody, command, keyed, plain(turnAll(engine.ProfileForget))},
	{"POST", "/admin/v1/profiles/{profile}/apply", auth.Operator, jsonBody, command, keyed, plain(turnAll(engine.SwitchProfile))},

	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/draw", auth.Viewer, noBody, download, reads, asking((*AdminServer).draw)},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/waitlist", auth.Viewer, noBody, command, reads, asking((*AdminServer).waitlist)},

	{"GET", "/admin/v1/risk", auth.Viewer, noBody, command, reads, plain(listOfLists("risk", func(k engine.RosterKind) bool { return k >= engine.RosterRiskShopper }))},
	{"GET", "/admin/v1/risk/{kind}", auth.Viewer, noBody, download, reads, asking((*AdminServer).list)},
	{"PUT", "/admin/v1/risk/{kind}", auth.Operator, listBody, upload, keyed, asking((*AdminServer).replaceRisk)},
	{"PATCH", "/admin/v1/risk/{kind}", auth.Operator, listBody, upload, keyed, asking((*AdminServer).changeRisk)},
	{"GET", "/admin/v1/risk/{kind}/{id}", auth.Viewer, noBody, command, reads, plain((*AdminServer).listRow)},
	{"DELETE", "/admin/v1/risk/{kind}/{id}", auth.Operator, noBody, command, keyed, asking((*AdminServer).dropRow)},
	{"GET", "/admin/v1/allowlists", auth.Viewer, noBody, command, reads, plain(listOfLists("allowlists", func(k engine.RosterKind) bool { return k == engine.RosterAllowed }))},
	{"GET", "/admin/v1/allowlists/{name}", auth.Viewer, noBody, download, reads, asking((*AdminServer).list)},
	{"PUT", "/admin/v1/allowlists/{name}", auth.Operator, listBody, upload, keyed, asking((*AdminServer).replaceNames)},
	{"PATCH", "/admin/v1/allowlists/{name}", auth.Operator, listBody, upload, keyed, asking((*AdminServer).changeNames)},
	{"DELETE", "/admin/v1/allowlists/{name}", auth.Operator, noBody, command, keyed, asking((*AdminServer).dropList)},
	{"GET", "/admin/v1/allowlists/{name}/{id}", auth.Viewer, noBody, command, reads, plain((*AdminServer).listRow)},
	{"DELETE", "/admin/v1/allowlists/{name}/{id}", auth.Operator, noBody, command, keyed, asking((*AdminServer).dropRow)},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Viewer, noBody, download, reads, asking((*AdminServer).list)},
	{"PUT", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Operator, listBody, upload, keyed, asking((*AdminServer).replaceNames)},
	{"PATCH", "/admin/v1/sessions/{session}/skus/{sku}/reservations", auth.Operator, listBody, upload, keyed, asking((*AdminServer).changeNames)},
	{"GET", "/admin/v1/sessions/{session}/skus/{sku}/reservations/{id}", auth.Viewer, noBody, command, reads, plain((*AdminServer).listRow)},
	{"DELETE", "/admin/v1/sessions/{session}/skus/{sku}/reservations/{id}", auth.Operator, noBody, command, keyed, asking((*AdminServer).dropRow)},

	// Each says how the cluster is to be, not how it is to differ; a promote is for
	// one generation.
	{"GET", "/admin/v1/cluster", auth.Viewer, noBody, command, reads, plain((*AdminServer).clusterStatus)},
	{"POST", "/admin/v1/cluster/join", auth.Admin, jsonBody, change, same, plain((*AdminServer).join)},
	{"POST", "/admin/v1/cluster/remove", auth.Admin, jsonBody, change, same, plain((*AdminServer).removeNode)},
	{"POST", "/admin/v1/cluster/transfer", auth.Admin, jsonBody, change, same, plain((*AdminServer).transfer)},
	{"POST", "/admin/v1/cluster/snapshot", auth.Admin, jsonBody, change, same, plain((*AdminServer).snapshot)},
	{"POST", "/admin/v1/cluster/zone-ack", auth.Admin, jsonBody, change, same, asking((*AdminServer).setZoneAck)},
	{"POST", "/admin/v1/cluster/prefer", auth.Admin, jsonBody, change, same, plain((*AdminServer).prefer)},
	{"POST", "/admin/v1/cluster/drain", auth.Admin, jsonBody, change, same, plain(drain("drain", true))},
	{"POST", "/admin/v1/cluster/undrain", auth.Admin, jsonBody, change, same, plain(drain("undrain", false))},
	{"POST", "/admin/v1/cluster/promote", auth.Admin, jsonBody, change, same, plain((*AdminServer).promote)},
	{"GET", "/admin/v1/cluster/backup", auth.Admin, noBody, stream, reads, asking((*AdminServer).backup)},
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
		if who, ok = s.authorize(w, r, to.needs); !ok {
			return
		}
	}
	if kind, wrong := wrongBody(to.takes, r); wrong != "" {
		s.problem(w, r, kind, wrong)
		return
	}
	held, let := who.Within(r.Context())
	defer let()
	answer := s.paced(w, r, to, func() bool { return context.Cause(held) == auth.ErrAuthorityOver })
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
	if wrong := to.does.serve(s, answer, r.WithContext(ctx), r.URL.RawQuery); wrong != "" {
		s.problem(answer, r, malformed, wrong)
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
	if kind, _, err := mime.ParseMediaType(given); takes != noBody && !(given == "" && body.tells) && (err != nil || !slices.Contains(body.types, kind)) {
		return wrongMediaType, "Send Content-Type: " + body.asked + "."
	}
	if r.ContentLength > body.most && takes != noBody {
		return tooLarge, fmt.Sprintf("The body may have %d bytes.", body.most)
	}
	return 0, ""
}

const uncoded = "Bodies are taken as they are: send it without Content-Encoding."
