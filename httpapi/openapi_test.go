package httpapi

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/openapi"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/wire"
)

var update = flag.Bool("update", false, "write openapi.json anew; read the diff")

// operations gives what the tables say of every route.
func operations() (all []wire.Operation) {
	for r, op := range shopperOperations[routeNone+1:] {
		route := &shopperRoutes[routeNone+1:][r]
		op.Method, op.Path, op.Tag, op.Query = route.method, route.template, "shopper", route.asked
		all = append(all, op)
	}
	for i := range adminRoutes {
		all = append(all, adminRoutes[i].operation())
	}
	return all
}

// operation describes a route of operators, as its row of the table has it.
func (to *adminRoute) operation() wire.Operation {
	op := wire.Operation{Method: to.method, Path: strings.TrimSuffix(to.pattern, "{$}"), Tag: "operations",
		ID:      to.about.id,
		Summary: to.about.summary, Description: to.about.says, Query: to.does.asked, Problems: to.about.problems,
		Answers: []wire.Answer{{Status: http.StatusOK, Bodies: to.does.gives}}}
	if to.needs != auth.Anybody {
		op.Security = []string{"opsToken"}
		op.Description = strings.TrimSpace("Role " + string(to.needs) + ". " + op.Description)
	}
	if to.does.awaits {
		op.Answers = append(op.Answers, wire.Answer{Status: http.StatusAccepted,
			Says:   "Nothing was changed yet: a second operator must approve it.",
			Bodies: wire.Bodies{wire.JSON: {wire.Approval{}}}})
	}
	if to.again == keyed {
		op.Headers = []string{"OperatorKey"}
		op.Problems += " 503"
	}
	if to.takes != noBody {
		op.Problems += " 413"
		op.Body = wire.Bodies{}
		for _, kind := range bodies[to.takes].types {
			op.Body[kind] = nil
		}
	}
	if body := to.does.body; body != nil {
		op.Body[wire.JSON], op.Optional = []any{body}, body == reflect.TypeFor[wire.Note]()
	}
	if strings.HasPrefix(to.pattern, "/admin/v1/sessions/{session}/skus/{sku}/draw") {
		op.Answers[0].Says = "By arrival."
	}
	if _, page := to.does.gives["text/html"]; page && to.about.id != "runbook" {
		op.Headers = []string{"IfNoneMatch"}
		op.Answers[0].Headers = []string{"ETag", "Cache-Control"}
		op.Answers = append(op.Answers, wire.Answer{Status: http.StatusNotModified,
			Says: "What If-None-Match names is still right."})
	}
	if to.within == stream && op.Answers[0].Bodies[wire.NDJSON] != nil {
		op.Answers[0].Headers = []string{wire.HeaderFromEvent, wire.HeaderFirstEvent, wire.HeaderKeptSince}
	}
	return op
}

// TestOpenAPIIsCurrent: the document is what the tables and the types make. A member that
// is renamed in code alone makes another one.
func TestOpenAPIIsCurrent(t *testing.T) {
	names := func(first int, name func(i int) string) (all []string) {
		for i := first; name(i) != "unknown"; i++ {
			all = append(all, name(i))
		}
		return all
	}
	made, err := openapi.Document(operations(), map[string]string{
		"doorbuster/engine": "../engine", "doorbuster/httpapi": ".", "doorbuster/httpapi/wire": "wire",
		"doorbuster/httpapi/draw": "draw", "doorbuster/httpapi/payment": "payment",
		"doorbuster/httpapi/reconcile":           "reconcile",
		"doorbuster/httpapi/reconcile/statement": "reconcile/statement",
		"doorbuster/httpapi/reconcile/archive":   "reconcile/archive",
	}, map[string][]string{
		"order":        names(1, func(i int) string { return engine.OrderState(i).String() }),
		"listing":      names(0, func(i int) string { return engine.ListingState(i).String() }),
		"session":      {"draft", "published", "open", "ended", "settled"},
		"code":         names(1, func(i int) string { return engine.Code(i).String() }),
		"bargain":      names(1, func(i int) string { return engine.BargainState(i).String() }),
		"bargain_code": bargainCodes,
		"price_kind":   names(0, func(i int) string { return engine.PriceKind(i).String() }),
		"level":        {"watch", "challenge", "block"},
		"delivery":     names(1, func(i int) string { return engine.Delivery(i).String() }),
		"role": {wire.NodeLeader, wire.NodeFollower, wire.NodeCandidate, wire.NodeNonVoter, wire.NodeStopped,
			wire.NodeUnknown},
		"zone_ack": {"", wire.ZoneAckOff, wire.ZoneAckHolding, wire.ZoneAckDegraded, wire.ZoneAckBlocked,
			wire.ZoneAckUnknown, wire.ZoneAckSingleZone},
		"pay_token":     {"malformed", "key", "signature", "expired", "order", "used", "differs"},
		"sink":          sinkStates,
		"approval_kind": names(1, func(i int) string { return engine.ApprovalKind(i).String() }),
		"approval":      names(1, func(i int) string { return engine.ApprovalState(i).String() }),
		"switch_action": names(1, func(i int) string { return engine.SwitchAction(i).String() }),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range adminRoutes {
		if to := &adminRoutes[i]; (to.again == reads) != (to.method == http.MethodGet) {
			t.Errorf("%s %s: the table says of doing it again: %d", to.method, to.pattern, to.again)
		}
	}
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(made, openAPIDocument) {
		t.Error("openapi.json is not what the routes and their types make: run go generate ./httpapi, and read the " +
			"diff")
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/openapi.json", "")
	if w.Code != 200 || w.Body.String() != string(openAPIDocument) {
		t.Error("status ", w.Code)
	}
}

// sinkStates are the states of sinks, as texts.
var sinkStates = func() (names []string) {
	for _, state := range sinks.States() {
		names = append(names, string(state))
	}
	return names
}()
