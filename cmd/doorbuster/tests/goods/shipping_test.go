package goods

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// warehouse is a shop whose session "day" sells masks that are shipped.
type warehouse struct {
	*nodetest.Shop
	t      *testing.T
	orders map[string]nodetest.Order // by shopper
}

// newWarehouse sells a mask to each shopper, who pays and, unless the place is "", says
// where it goes: "phone, address".
func newWarehouse(t *testing.T, places [][2]string, more ...string) *warehouse {
	t.Helper()
	w := &warehouse{nodetest.Open(t, t.TempDir()), t, map[string]nodetest.Order{}}
	w.Apply(nodetest.PlanOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d, delivery: ship}", len(places)+5)},
		more...))
	for _, p := range places {
		w.buy(p[0], p[1])
	}
	return w
}

func (w *warehouse) buy(shopper, place string) {
	w.t.Helper()
	o := w.MustGrant(shopper, "k", nodetest.Mask)
	w.orders[shopper] = o
	if a := w.Pay(o, "pay-"+shopper); a.Status != 200 {
		w.t.Fatalf("%d %s", a.Status, a.Body)
	}
	if place == "" {
		return
	}
	phone, address, _ := strings.Cut(place, ", ")
	if a := w.Do("PUT", w.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", receiverOf(shopper, phone, address),
		"X-Shopper-Id", shopper); a.Status != 200 {
		w.t.Fatalf("%d %s", a.Status, a.Body)
	}
}

// receiverOf is a receiver as a shopper sends it.
func receiverOf(name, phone, address string) string {
	return fmt.Sprintf(`{"name":%q,"phone":%q,"street":%q}`, name, phone, address)
}

func (w *warehouse) end() {
	w.t.Helper()
	if a := w.Ops("POST", "/admin/v1/sessions/day/end", ""); a.Status != 200 {
		w.t.Fatalf("%d %s", a.Status, a.Body)
	}
}

// ops asks the operations API for an answer of type T, which must be there.
func ops[T any](w *warehouse, method, path, body string, header ...string) (a T) {
	w.t.Helper()
	said := w.Ops(method, path, body, header...)
	if err := json.Unmarshal([]byte(said.Body), &a); said.Status != 200 || err != nil {
		w.t.Fatalf("%s %s: %d %s", method, path, said.Status, said.Body)
	}
	return a
}

// send sends a file.
func (w *warehouse) send(path, kind, text string, header ...string) nodetest.Reply {
	w.t.Helper()
	return w.Do("POST", "http://"+w.Admin+path, text, append(header, "Content-Type", kind)...)
}

func (w *warehouse) status() wire.Shipping {
	w.t.Helper()
	return ops[wire.Shipping](w, "GET", "/admin/v1/sessions/day/shipping", "")
}

func (w *warehouse) expect(want wire.Shipping) {
	w.t.Helper()
	got := w.status()
	want.Session, want.State = "day", got.State
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("the orders are at %+v, not at %+v", got, want)
	}
}

// seen is an order as its shopper sees it.
type seen struct {
	State, Delivery, Carrier, Tracking string
	ShippedAt                          string `json:"shipped_at"`
	ReceivedAt                         string `json:"received_at"`
	CompletedAt                        string `json:"completed_at"`
}

func (w *warehouse) seen(shopper string) (o seen) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.Order(shopper, w.orders[shopper].OrderNo).Body), &o); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// TestFromPaidToCompleted takes orders all the way, with everything that can keep one of
// them back.
func TestFromPaidToCompleted(t *testing.T) {
	w := newWarehouse(t, [][2]string{{"bot", "+8613800000001, 1 Lane"}, {"odd", "+8613800000002, 2 Lane"},
		{"ann", "+8613800000003, Same House 3"}, {"bob", "+8613800000004, Same House 3"},
		{"eve", "+8613800000005, 5 Lane"}, {"nil", ""}, {"far", "+8613800000007, =1+1"}}, "complete_within: 1s")
	if a := w.Ops("POST", "/admin/v1/sessions/day/review", `{}`); a.Status != 409 ||
		!strings.Contains(a.Detail, "The session is open") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.end()
	for list, rows := range map[string]string{"shoppers": "bot,block\n", "phones": "+8613800000002,challenge\n"} {
		if a := w.Do("PUT", "http://"+w.Admin+"/admin/v1/risk/"+list+"?sure=true", rows, "Content-Type",
			"text/plain"); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	w.expect(wire.Shipping{Unreviewed: 7, Exports: []wire.ExportCounts{}})

	// A look that only tells, then the look.
	dry := ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{"dry_run":true}`)
	if dry.Looked != 7 || dry.Passed != 3 || dry.Held != 3 || dry.Rejected != 1 {
		t.Errorf("%+v", dry)
	}
	w.expect(wire.Shipping{Unreviewed: 7, Exports: []wire.ExportCounts{}})
	out := w.MustRun("shipping", "review", "day")
	for _, want := range []string{"7 orders looked at: 3 passed, 3 held, 1 rejected",
		"shopper is on a risk list (block)", "phone is on a risk list (challenge)", "address of 2 or more shoppers"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if again := ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{}`); again.Looked != 0 {
		t.Errorf("%+v", again)
	}
	w.expect(wire.Shipping{Held: 3, NoReceiver: 1, Passed: 2, Rejected: 1, RefundDue: 1,
		Exports: []wire.ExportCounts{}})
	if o := w.seen("bot"); o.State != "refund_due" {
		t.Errorf("%+v", o)
	}

	// By hand: Ann is let go, Bob is not, and no other look changes that.
	w.MustRun("shipping", "review", "day", w.orders["ann"].OrderNo, "--verdict", "pass", "--note", "a family")
	w.MustRun("shipping", "review", "day", w.orders["bob"].OrderNo, "--verdict", "reject")
	if again := ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{"again":true}`); again.Looked != 1 ||
		again.Held != 1 {
		t.Errorf("%+v", again)
	}
	if a := w.Ops("POST", "/admin/v1/sessions/day/review", fmt.Sprintf(`{"verdict":"pass","orders":[%q,%q]}`,
		w.orders["bob"].OrderNo, "nobody")); a.Status != 422 || len(a.Problems) != 2 {
		t.Errorf("%d %s", a.Status, a.Body)
	}

	// Out to the warehouse, once.
	file := filepath.Join(t.TempDir(), "orders.csv")
	said := w.MustRun("shipping", "export", "day", "--out", file, "--json")
	var export wire.Export
	if err := json.Unmarshal([]byte(said), &export); err != nil || export.Export != 1 || export.Orders != 3 ||
		export.NoReceiver != 1 || export.NoReceiverOrders[0] != w.orders["nil"].OrderNo || export.Held != 1 {
		t.Errorf("%v: %s", err, said)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v: %s", err, text)
	}
	for i, who := range []string{"ann", "eve", "far"} {
		if row := rows[i+1]; row[0] != w.orders[who].OrderNo || row[4] != who || !strings.HasPrefix(row[5], "+86") {
			t.Errorf("row %d is %q", i, row)
		}
	}
	if !strings.Contains(string(text), ",'=1+1,") {
		t.Errorf("a formula is in %s", text)
	}
	if a := w.Ops("GET", "/admin/v1/sessions/day/exports/1", ""); a.Status != 200 || a.Body != string(text) {
		t.Errorf("the export is another a second time: %d\n%s", a.Status, a.Body)
	}
	if a := w.Ops("GET", "/admin/v1/sessions/day/exports/1?format=ndjson&after="+rows[1][0], ""); a.Status != 200 ||
		strings.Count(a.Body, "\n") != 2 || !strings.HasPrefix(a.Body, `{"order_no":"`+rows[2][0]) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for path, status := range map[string]int{"2": 404, "0": 404, "x": 404, "1?after=" + w.orders["nil"].OrderNo: 400} {
		if a := w.Ops("GET", "/admin/v1/sessions/day/exports/"+path, ""); a.Status != status {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	first := ops[wire.Export](w, "POST", "/admin/v1/sessions/day/exports", `{}`, "Idempotency-Key", "nothing-new")
	if first.Export != 0 || first.NoReceiver != 1 || first.Held != 1 {
		t.Errorf("%+v", first)
	}
	if none := ops[wire.Export](w, "POST", "/admin/v1/sessions/day/exports", `{}`); none.Export != 0 ||
		none.Orders != 0 {
		t.Errorf("%+v", none)
	}
	w.expect(wire.Shipping{Held: 1, NoReceiver: 1, Exported: 3, Rejected: 2, RefundDue: 2,
		Exports: []wire.ExportCounts{{Export: 1, Orders: 3, Waiting: 3}}})

	// Parcels: what is wrong is told row by row, and nothing is taken.
	bad := "order_no,carrier,tracking,remark\n" +
		w.orders["ann"].OrderNo + ",SF,SF1,\n" +
		w.orders["ann"].OrderNo + ",SF,SF2,\n" +
		"0123456789ABCDEFGHJKMNPQRS,SF,SF3,\n" +
		w.orders["nil"].OrderNo + ",SF,SF4,\n" +
		w.orders["eve"].OrderNo + ",SF,,\n" +
		w.orders["far"].OrderNo + ",SF,1.23E+14,\n" +
		w.orders["bot"].OrderNo + ",SF,SF7,\n"
	a := w.send("/admin/v1/sessions/day/parcels", "text/csv", bad)
	if a.Status != 422 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for line, want := range map[int]string{3: "twice", 6: "tracking of order", 7: "spreadsheet"} {
		found := false
		for _, p := range a.Problems {
			found = found || p.Line == line && strings.Contains(p.Message, want)
		}
		if !found {
			t.Errorf("line %d is not told to be wrong (%s): %s", line, want, a.Body)
		}
	}
	bad = "order_no,carrier,tracking\n" + w.orders["ann"].OrderNo + ",SF,SF1\n0123456789ABCDEFGHJKMNPQRS,SF,SF3\n" +
		w.orders["nil"].OrderNo + ",SF,SF4\n" + w.orders["bot"].OrderNo + ",SF,SF7\n"
	if a = w.send("/admin/v1/sessions/day/parcels", "text/csv", bad); a.Status != 422 || len(a.Problems) != 3 ||
		a.Problems[0].Line != 3 || !strings.Contains(a.Problems[0].Message, "there is no order") ||
		a.Problems[1].Line != 4 || !strings.Contains(a.Problems[1].Message, "is not exported: it has no receiver") ||
		a.Problems[2].Line != 5 || !strings.Contains(a.Problems[2].Message, "is refund_due") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if o := w.seen("ann"); o.State != "paid" || o.Tracking != "" {
		t.Errorf("%+v", o)
	}
	parcels := filepath.Join(t.TempDir(), "parcels.csv")
	if err := os.WriteFile(parcels, []byte("\ufefftracking,order_no,carrier\r\nSF1,"+w.orders["ann"].OrderNo+
		",顺丰\r\nSF5,"+w.orders["eve"].OrderNo+",顺丰\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := w.MustRun("shipping", "import", "day", parcels); !strings.Contains(out, "2 rows: 2 shipped now, 0 were") {
		t.Error(out)
	}
	if out := w.MustRun("shipping", "import", "day", parcels); !strings.Contains(out, "0 shipped now, 2 were") {
		t.Error(out)
	}
	if a := w.send("/admin/v1/sessions/day/parcels", "application/x-ndjson", fmt.Sprintf(
		`{"order_no":%q,"carrier":"顺丰","tracking":"SF2"}`, w.orders["ann"].OrderNo)); a.Status != 422 ||
		!strings.Contains(a.Problems[0].Message, "was shipped before with 顺丰 SF1") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if o := w.seen("ann"); o.State != "shipped" || o.Carrier != "顺丰" || o.Tracking != "SF1" || o.ShippedAt == "" ||
		o.Delivery != "ship" || o.ReceivedAt != "" {
		t.Errorf("%+v", o)
	}

	// They have come: Ann says so, of Eve's the carrier does.
	ann := w.HTTP + "/v1/orders/" + w.orders["ann"].OrderNo + "/received"
	for _, c := range []struct {
		shopper string
		status  int
	}{{"eve", 404}, {"ann", 200}, {"ann", 200}} {
		if a := w.Do("POST", ann, "", "X-Shopper-Id", c.shopper); a.Status != c.status {
			t.Errorf("%s: %d %s", c.shopper, a.Status, a.Body)
		}
	}
	if a := w.Do("POST", w.HTTP+"/v1/orders/"+w.orders["far"].OrderNo+"/received", "", "X-Shopper-Id",
		"far"); a.Status != 409 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.send("/admin/v1/sessions/day/received", "text/plain", w.orders["eve"].OrderNo+"\n"+
		w.orders["far"].OrderNo+"\n"); a.Status != 422 || len(a.Problems) != 1 || a.Problems[0].Line != 2 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.send("/admin/v1/sessions/day/received", "text/plain", w.orders["eve"].OrderNo+"\n"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, who := range []string{"ann", "eve"} {
		w.Eventually(func() bool { return w.seen(who).State == "completed" }, func() string {
			return fmt.Sprintf("%+v", w.seen(who))
		})
		if o := w.seen(who); o.ShippedAt == "" || o.ReceivedAt == "" || o.CompletedAt == "" {
			t.Errorf("%+v", o)
		}
	}
	w.expect(wire.Shipping{Held: 1, NoReceiver: 1, Exported: 1, Completed: 2, Rejected: 2, RefundDue: 2,
		Exports: []wire.ExportCounts{{Export: 1, Orders: 3, Waiting: 1}}})
	if out := w.MustRun("shipping", "status", "day"); !strings.Contains(out, "Export 1: 3 orders, of which 1 wait") {
		t.Error(out)
	}
}

// TestExportOnce: the same request makes one export, and tells its number again.
func TestExportOnce(t *testing.T) {
	w := newWarehouse(t, [][2]string{{"ann", "+8613800000003, 3 Lane"}, {"bob", "+8613800000004, 4 Lane"}})
	w.end()
	ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{}`)
	for range 3 {
		x := ops[wire.Export](w, "POST", "/admin/v1/sessions/day/exports", `{}`, "Idempotency-Key", "once")
		if x.Export != 1 || x.Orders != 2 {
			t.Errorf("%+v", x)
		}
	}
	if a := w.Ops("POST", "/admin/v1/sessions/day/exports", `{"export":7}`); a.Status != 404 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// The warehouse has the address: it can't be another any more.
	if a := w.Do("PUT", w.HTTP+"/v1/orders/"+w.orders["ann"].OrderNo+"/receiver", receiverOf("ann", "+8613800000009",
		"9 Lane"), "X-Shopper-Id", "ann"); a.Status != 409 || !strings.Contains(a.Detail, "warehouse") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// Voided, it is in the export no more, and can't be shipped.
	if a := w.Ops("POST", "/admin/v1/orders/"+w.orders["bob"].OrderNo+"/void", ""); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := w.Ops("GET", "/admin/v1/sessions/day/exports/1", ""); strings.Contains(a.Body, w.orders["bob"].OrderNo) ||
		!strings.Contains(a.Body, w.orders["ann"].OrderNo) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a := w.send("/admin/v1/sessions/day/parcels", "text/csv", "order_no,carrier,tracking\n"+w.orders["bob"].OrderNo+
		",SF,1\n"+w.orders["ann"].OrderNo+",SF,2\n")
	if a.Status != 422 || len(a.Problems) != 1 || a.Problems[0].Line != 2 || w.seen("ann").Tracking != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestReviewAsksTheService: the outside service decides about what lists and places let
// through, and while it does not answer, orders are held.
func TestReviewAsksTheService(t *testing.T) {
	var down atomic.Bool
	var asked sync.Map
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Shopper, Phone, SKU string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || down.Load() {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		asked.Store(q.Shopper, q.Phone+" "+q.SKU)
		level := map[string]string{"bot": "block", "odd": "challenge"}[q.Shopper]
		fmt.Fprintf(w, `{"level":%q}`, cmp.Or(level, "allow"))
	}))
	defer service.Close()
	w := newWarehouse(t, [][2]string{{"bot", "+8613800000001, 1 Lane"}, {"odd", "+8613800000002, 2 Lane"},
		{"ann", "+8613800000003, 3 Lane"}})
	w.end()
	w.Stop()
	w.Shop = w.Reopen("--risk-url", service.URL, "--risk-cache-ttl", "1s", "--risk-timeout", "5s")
	down.Store(true)
	r := ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{}`)
	if r.Held != 3 || len(r.Reasons) != 1 || !strings.Contains(r.Reasons[0].Why, "does not answer") {
		t.Errorf("%+v", r)
	}
	down.Store(false)
	w.Eventually(func() bool { // it was left alone for a while
		r = ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{"again":true}`)
		return r.Passed > 0
	}, func() string { return fmt.Sprintf("%+v", r) })
	w.expect(wire.Shipping{Passed: 1, Held: 1, Rejected: 1, RefundDue: 1, Exports: []wire.ExportCounts{}})
	if q, _ := asked.Load("ann"); q != "+8613800000003 mask" {
		t.Errorf("the service was asked about %v", q)
	}
}

// TestNobodyCarries: goods that are collected, or are none, need no address and no parcel.
func TestNobodyCarries(t *testing.T) {
	w := &warehouse{nodetest.Open(t, t.TempDir()), t, map[string]nodetest.Order{}}
	w.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9, delivery: virtual}"}))
	w.buy("ann", "")
	w.end()
	if a := w.send("/admin/v1/sessions/day/received", "text/plain", w.orders["ann"].OrderNo); a.Status != 422 ||
		!strings.Contains(a.Problems[0].Message, "nobody has taken the second look") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{}`)
	if a := w.send("/admin/v1/sessions/day/received", "text/plain", w.orders["ann"].OrderNo); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if o := w.seen("ann"); o.State != "received" || o.Delivery != "virtual" || o.ShippedAt != "" {
		t.Errorf("%+v", o)
	}
}

// TestShoppersHear: whoever follows their events hears that their parcel is on its way.
func TestShoppersHear(t *testing.T) {
	w := newWarehouse(t, [][2]string{{"ann", "+8613800000003, 3 Lane"}})
	w.end()
	ops[wire.Review](w, "POST", "/admin/v1/sessions/day/review", `{}`)
	ops[wire.Export](w, "POST", "/admin/v1/sessions/day/exports", `{}`)
	q, err := http.NewRequestWithContext(t.Context(), "GET", w.HTTP+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Shopper-Id", "ann")
	stream, err := nodetest.Client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	hears := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended without %s: %v", want, lines.Err())
	}
	hears(`"state":"paid"`)
	if a := w.send("/admin/v1/sessions/day/parcels", "text/csv", "order_no,carrier,tracking\n"+w.orders["ann"].OrderNo+
		",SF,SF1001\n"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	hears(`"carrier":"SF","tracking":"SF1001"`)
	if a := w.Do("POST", w.HTTP+"/v1/orders/"+w.orders["ann"].OrderNo+"/received", "", "X-Shopper-Id",
		"ann"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	hears(`"state":"received"`)
}
