package goods

import (
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
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool runs a command against the shop and wants something in what it prints.
func tool(s *nodetest.Shop, status int, want string, args ...string) string {
	s.T.Helper()
	got, out, errs := nodetest.Tool(s.T, "", append(args, "--admin", s.Admin)...)
	if got != status || !strings.Contains(out+errs, want) {
		s.T.Errorf("%s: status %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, status, want, out, errs)
	}
	return out
}

// mugs is a plan that sells a product of a supplier's.
func mugs(stock int) string {
	return fmt.Sprintf(`
sales:
  - id: sale
    sessions:
      - {id: day, start: now, duration: 1h, limit_per_shopper: 0, admission_multiple: 0, listings: [
          {sku: mug, price: 100, stock: %d}]}
`, stock)
}

// product is what is told of one.
type product struct {
	ID, Supplier string
	Retired      bool
	Stock        *struct{ Total, Remaining *int64 }
	Use          *struct {
		PutUp      int64 `json:"put_up"`
		Held, Paid int64
		Allowance  *int64
		Over       int64
	}
}

func productNow(s *nodetest.Shop, id string) (p product) {
	s.T.Helper()
	a := s.Ops("GET", "/admin/v1/products/"+id, "")
	if err := json.Unmarshal([]byte(a.Body), &p); a.Status != 200 || err != nil {
		s.T.Fatalf("%d %s", a.Status, a.Body)
	}
	return p
}

// TestCatalogueThroughTheProgram: a supplier's products come from a file, are listed, shown,
// sold, retired and deleted, as an operator does it.
func TestCatalogueThroughTheProgram(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	tool(s, 0, "acme: 2 rows, 2 products new, 0 changed; it has 2 now", "products", "import", "acme",
		file(t, "first.csv", "id,name,price,total\nmug,Mug,49.00,500\ncup,Cup,3,20\n"), "--currency", "CNY")
	tool(s, 0, "mug  Mug", "products", "list", "--supplier", "acme")
	tool(s, 0, "500 in all", "products", "show", "mug")
	tool(s, 0, "acme      2         0", "products", "suppliers")
	s.Apply(mugs(500))
	if a := s.Ops("POST", "/admin/v1/sessions/day/skus/mug/stock", `{"units":1}`); a.Status != 409 ||
		!strings.Contains(a.Body, "The supplier of mug has 500 in all, and 500 are put up: 0 more can be.") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	tool(s, 1, "line 3: cup: the stock is -1", "products", "import", "acme",
		file(t, "bad.csv", "id,total\nmug,400\ncup,-1\n"))
	if p := productNow(s, "mug"); *p.Stock.Total != 500 {
		t.Errorf("a refused catalogue changed %+v", p)
	}
	tool(s, 1, "line 2", "products", "import", "other", file(t, "theirs.csv", "id,price\nmug,1\n"), "--currency", "CNY")
	tool(s, 2, `"euro" is no currency`, "products", "import", "acme", "x.csv", "--currency", "euro")
	s.Apply(mugs(10))
	tool(s, 1, "A session offers the product. Retire it", "products", "delete", "mug")
	tool(s, 0, "product cup is deleted", "products", "delete", "cup", "--note", "broken")
	tool(s, 0, "product mug is retired", "products", "retire", "mug")
	tool(s, 0, "by the shop", "products", "show", "mug")
	tool(s, 0, "product mug is on offer again", "products", "revive", "mug")
	tool(s, 0, "No such product.", "products", "list", "--prefix", "cup")
}

// TestSalesAreDeletedAndArchivedThroughTheProgram: a session and a sale go for good while
// nobody has ordered from them, and else into the archive once they are over; whatever is in
// the way is told, with what to do.
func TestSalesAreDeletedAndArchivedThroughTheProgram(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	sale := func(id, start string) string {
		return fmt.Sprintf("  - id: %[1]s\n    sessions:\n      - {id: %[1]s-1, start: %[2]s, "+
			"listings: [{sku: mug, price: 100, stock: 9}]}\n", id, start)
	}
	s.Apply("products: [{id: mug, list_price: 4900, currency: CNY}]\nsales:\n" + sale("now", "now") +
		sale("later", "+5h") + sale("never", "+5h"))
	for _, x := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, "The session is open. End it first", []string{"sessions", "delete", "now-1"}},
		{1, "A session of the sale is open. End it first", []string{"sales", "delete", "now"}},
		{1, "The session is not over", []string{"sessions", "archive", "later-1"}},
		{1, "A session of the sale is not over", []string{"sales", "archive", "later"}},
		{0, "session later-1 is deleted", []string{"sessions", "delete", "later-1", "--note", "a mistake"}},
		{0, "sale later is deleted", []string{"sales", "delete", "later"}},
		{0, "sale never is deleted", []string{"sales", "delete", "never"}}, // with its session
		{1, "Nothing by this name is known", []string{"sessions", "delete", "never-1"}},
		{2, "name one sale by its id", []string{"sales", "delete"}},
	} {
		tool(s, x.status, x.want, x.args...)
	}
	s.MustGrant("ann", "", "now-1/mug")
	if a := s.Ops("POST", "/admin/v1/sessions/now-1/end", "{}"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	shown := func(want bool, path string) {
		t.Helper()
		if a := s.Ops("GET", "/admin/v1/"+path, ""); strings.Contains(a.Body, `"id":"now`) != want {
			t.Errorf("%s shows it: %t, want %t: %s", path, !want, want, a.Body)
		}
	}
	tool(s, 1, "The session has orders or bargains, which are kept. Archive the session", "sessions", "delete", "now-1")
	tool(s, 1, "Archive the sale once all its sessions are over", "sales", "delete", "now")
	tool(s, 0, "session now-1 is in the archive", "sessions", "archive", "now-1")
	shown(false, "sessions")
	shown(true, "sessions?archived=true")
	tool(s, 0, "session now-1 is out of the archive", "sessions", "recall", "now-1")
	shown(true, "sessions")
	tool(s, 0, "sale now is in the archive", "sales", "archive", "now")
	shown(false, "sales")
	shown(false, "sessions")
	shown(true, "sales?archived=true")
	tool(s, 0, "sale now is out of the archive", "sales", "recall", "now")
	shown(true, "sales")
	shown(true, "sessions")
}

// TestSupplierLowersInARush (Show 5): the supplier lowers its stock in the middle of a rush:
// never more is sold than it says, and what is held or paid stays.
func TestSupplierLowersInARush(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	put := func(total int) {
		t.Helper()
		a := s.Ops("PUT", "/admin/v1/suppliers/acme/products", fmt.Sprintf(`{"id":"mug","name":"Mug",`+
			`"list_price":4900,"currency":"CNY","stock":{"total":%d}}`, total))
		if a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	put(300)
	s.Apply(mugs(300))
	const before, racing, after, lowered = 150, 20, 300, 200
	var mu sync.Mutex
	type grant struct {
		shopper string
		order   nodetest.Order
	}
	var granted []grant
	grab := func(i int) bool {
		shopper := fmt.Sprintf("shopper-%d", i)
		a := s.Grab(shopper, nodetest.NewKey(), "day/mug")
		if strings.Contains(a.Body, `"code":"granted"`) {
			mu.Lock()
			granted = append(granted, grant{shopper, a.Order})
			mu.Unlock()
		}
		return true
	}
	nodetest.Crowd(before, grab)
	told := make(chan struct{})
	go func() {
		put(lowered)
		close(told)
	}()
	nodetest.Crowd(racing+after, func(i int) bool {
		if i >= racing { // some meet the change on its way, all others come after it
			<-told
		}
		return grab(before + i)
	})
	if p := productNow(s, "mug"); len(granted) != lowered || p.Use.Held != lowered || p.Use.PutUp != lowered ||
		p.Use.Over != 0 {
		t.Errorf("%d granted of %d: %+v", len(granted), lowered, *p.Use)
	}
	s.MustRefuse("sold_out", "late", "", "day/mug")
	// Under what is held and paid: those stay, and what comes back goes to nobody.
	s.Pay(granted[0].order, "p-1")
	put(100)
	if p := productNow(s, "mug"); p.Use.Held != lowered-1 || p.Use.Paid != 1 || p.Use.Over != lowered-100 {
		t.Errorf("%+v", *p.Use)
	}
	// It is an alarm, which says of what and by how many, and is over once the supplier has more.
	if a := s.Raised("supplier_over"); !strings.Contains(a.Detail, "mug of acme (by 100)") ||
		s.Metric(`doorbuster_alarms{name="supplier_over"}`) != "1" {
		t.Errorf("%+v", a)
	}
	tool(s, 0, "by 100 units: mug of acme", "alarms")
	put(lowered)
	s.Healed("supplier_over")
	put(100)
	if a := s.CancelOrder(granted[1].shopper, granted[1].order.OrderNo); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if p := productNow(s, "mug"); p.Use.Held != lowered-2 || p.Use.Over != lowered-101 {
		t.Errorf("%+v", *p.Use)
	}
	s.MustRefuse("sold_out", "later", "", "day/mug")
}

// TestPulledFromAURL: the leader fetches a supplier's catalogue by itself, and one that
// shrinks waits for a person.
func TestPulledFromAURL(t *testing.T) {
	var mu sync.Mutex
	rows := ""
	supplier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if rows == "" {
			http.Error(w, "closed", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, rows)
	}))
	defer supplier.Close()
	config := file(t, "node.yaml", fmt.Sprintf("catalogue:\n  pulls:\n    - {supplier: acme, url: %q, currency: EUR}\n",
		supplier.URL+"/c.csv"))
	s := nodetest.Open(t, t.TempDir(), "--config", config)
	has := func(text string) {
		mu.Lock()
		rows = text
		mu.Unlock()
	}
	s.Raised("catalogue_lacking", "acme")
	has("id,price,total\na,1,5\nb,1,5\nc,1,5\n")
	tool(s, 0, "acme: 3 rows", "products", "pull", "acme")
	s.Healed("catalogue_lacking")
	has("id,price,total\na,1,4\n")
	tool(s, 1, "--yes", "products", "pull", "acme")
	tool(s, 0, "acme: 1 rows", "products", "pull", "acme", "--yes")
	if p := productNow(s, "a"); *p.Stock.Total != 4 {
		t.Errorf("%+v", p)
	}
	tool(s, 1, "catalogue.pulls", "products", "pull", "other")
}

// TestPulledByTheLeader: of three nodes only one that leads fetches a catalogue, once; when it
// is killed the next one does, and what is there already is not changed by it.
func TestPulledByTheLeader(t *testing.T) {
	var asked, matched atomic.Int64
	supplier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("If-None-Match") != "" {
			matched.Add(1)
		}
		w.Header().Set("ETag", `"one"`)
		fmt.Fprint(w, "id,price,total\na,1,5\nb,1,5\n")
	}))
	defer supplier.Close()
	f := nodetest.NewFleet(t, "off", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("catalogue:\n  pulls:\n    - {supplier: acme, url: %q, currency: EUR}\n",
		supplier.URL+"/c.csv")
	f.Open()
	const pulled, led = `"msg":"a supplier's catalogue pulled"`, `"msg":"epoch opened`
	first, again := `"new":2,"changed":0,"gone":0,"count":2`, `"new":0,"changed":0,"gone":0,"count":2`
	for round := range 2 {
		var leader *nodetest.Member
		f.Eventually(func() bool { // leadership may move at the start
			leader = f.Leader()
			return strings.Contains(leader.Logs.String(), pulled)
		}, "nobody who leads fetches the catalogue")
		all, epochs := "", 0
		for _, m := range f.Nodes {
			log := m.Logs.String()
			if strings.Contains(log, pulled) && !strings.Contains(log, led) {
				t.Errorf("%s has not led, and has fetched it", m.ID)
			}
			all, epochs = all+log, epochs+strings.Count(log, led)
		}
		// Once for each time that a node began to lead, and by the first alone it was taken in.
		if n := strings.Count(all, pulled); n > epochs || strings.Count(all, first) != 1 ||
			strings.Count(all, again) != n-1 || round == 1 && n < 2 {
			t.Errorf("round %d: fetched %d times in %d epochs:\n%s", round, n, epochs, all)
		}
		for _, m := range f.Nodes {
			f.Eventually(func() bool {
				return !m.Up || strings.Count(m.Ops("GET", "/admin/v1/products?supplier=acme", "").Body,
					`"supplier":"acme"`) == 2
			}, m.ID+" does not have the products")
		}
		if round == 0 {
			leader.Kill()
		}
	}
	if asked.Load() < 2 || matched.Load() > 0 { // a node that begins to lead does not know what there is
		t.Errorf("asked %d times, %d of them by an ETag", asked.Load(), matched.Load())
	}
}

// TestStockReconciledThroughTheProgram: a supplier's figures are held against ours.
func TestStockReconciledThroughTheProgram(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	tool(s, 0, "it has 2 now", "products", "import", "acme",
		file(t, "first.csv", "id,price,total\nmug,49.00,500\ncup,3,20\n"), "--currency", "CNY")
	s.Apply(mugs(10))
	s.Pay(s.MustGrant("ann", "", "day/mug"), "p-1")
	now := time.Now().UTC().Format(time.RFC3339)
	tool(s, 0, "The supplier's figures are ours, of 2 products.", "reconcile",
		file(t, "right.csv", "id,remaining,as_of\nmug,499,"+now+"\ncup,20,"+now+"\n"), "--kind", "stock", "--supplier",
		"acme")
	out := tool(s, 1, "the figures differ: 1 difference", "reconcile",
		file(t, "wrong.csv", "id,remaining,as_of\nmug,480,"+now+"\ncup,20,"+now+"\n"), "--kind", "stock", "--supplier",
		"acme")
	if !strings.Contains(out, "mug") || !strings.Contains(out, "480 left") || !strings.Contains(out, "500 in all") {
		t.Errorf("%s", out)
	}
	tool(s, 2, "--supplier", "reconcile", "wrong.csv", "--kind", "stock")
}
