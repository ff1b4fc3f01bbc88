package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

func fakeMasks() engine.ProductView {
	return engine.ProductView{Product: engine.Product{ID: "mask-50", Supplier: "acme",
		Name: engine.Text{{Lang: "en", Text: "Masks"}}, ListPrice: 4900, Currency: "CNY",
		Place: &engine.Place{Latitude: 31.2, Longitude: 121.5},
		Stock: engine.SupplierStock{Known: true, Figure: 500}}, Offered: true,
		Use: engine.ProductUse{PutUp: 300, Held: 20, Paid: 100, Allowance: 500}}
}

func (f *fakeOperator) shelf() map[string]engine.ProductView {
	if f.products == nil {
		return map[string]engine.ProductView{"mask-50": fakeMasks()}
	}
	return f.products
}

func (f *fakeOperator) Product(id string) (engine.ProductView, bool, error) {
	p, known := f.shelf()[id]
	return p, known, f.err
}

// ProductPage gives one product a call, so that callers must go on.
func (f *fakeOperator) ProductPage(q engine.ProductFilter, from, most int) (rows []engine.ProductView, next int,
	done bool, err error) {
	if f.panics {
		panic("a bug")
	}
	ids := slices.Sorted(maps.Keys(f.shelf()))
	if from >= len(ids) {
		return nil, from, true, f.err
	}
	p := f.shelf()[ids[from]]
	if (q.Supplier == "" || q.Supplier == p.Supplier) && strings.HasPrefix(p.ID, q.Prefix) && (q.Retired ||
		!p.Retired) &&
		most > 0 {
		rows = append(rows, p)
	}
	return rows, from + 1, from+1 == len(ids), f.err
}

func (f *fakeOperator) Suppliers() ([]engine.SupplierInfo, error) {
	return []engine.SupplierInfo{{ID: "acme", Products: 1, Retired: 2}}, f.err
}

func (f *fakeOperator) ImportProducts(_ context.Context, supplier string, in engine.ProductImport) (
	engine.ProductImported, error) {
	f.operator, f.note, f.put, f.putRows = in.By.Operator, in.Note, &in, nil
	for row := range in.Rows {
		f.putRows = append(f.putRows, row.Product(supplier))
	}
	if in.Committed != nil {
		in.Committed(in.Count)
	}
	return f.putOut, f.putErr
}

func (f *fakeOperator) StockOf(supplier string, each func([]engine.SupplierStockView) error) error {
	for _, id := range slices.Sorted(maps.Keys(f.shelf())) {
		if p := f.shelf()[id]; p.Supplier == supplier && (p.Stock.Known || p.Offered) {
			if err := each([]engine.SupplierStockView{{Product: id, Stock: p.Stock, ProductUse: p.Use}}); err != nil {
				return err
			}
		}
	}
	return f.err
}

func (f *fakeOperator) goes(by engine.By, what, id, note string) error {
	f.operator, f.note, f.gone = by.Operator, note, append(f.gone, what+" "+id)
	return f.err
}

func (f *fakeOperator) DeleteProduct(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "delete product", id, note)
}

func (f *fakeOperator) RetireProduct(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "retire product", id, note)
}

func (f *fakeOperator) ReviveProduct(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "revive product", id, note)
}

func (f *fakeOperator) DeleteSale(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "delete sale", id, note)
}

func (f *fakeOperator) DeleteSession(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "delete session", id, note)
}

func (f *fakeOperator) ArchiveSale(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "archive sale", id, note)
}

func (f *fakeOperator) ArchiveSession(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "archive session", id, note)
}

func (f *fakeOperator) RecallSale(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "recall sale", id, note)
}

func (f *fakeOperator) RecallSession(_ context.Context, by engine.By, id, note string) error {
	return f.goes(by, "recall session", id, note)
}

const acmeProducts = "/admin/v1/suppliers/acme/products"

// TestSuppliersTokens: a supplier's token opens its own products, and nothing else at all.
func TestSuppliersTokens(t *testing.T) {
	f := &fakeOperator{}
	s := newTestAdmin(t, f, func(c *AdminConfig) { c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret} })
	mint := func(c auth.Claims) string {
		c.Audience, c.Subject, c.TTL = auth.Operators, "feed", time.Hour
		token, err := c.Sign(testSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	acme := mint(auth.Claims{Role: auth.Supplier, Supplier: "acme"})
	for _, of := range []string{"acme", "other"} {
		path := strings.NewReplacer("{session}", "fans-day-10", "{sku}", "mask-50", "{order_no}", fakeOrderNo, "{$}",
			"",
			"{supplier}", of, "{product}", "mask-50")
		for _, r := range adminRoutes {
			if r.needs == auth.Anybody {
				continue
			}
			w := askAdmin(s, r.method, path.Replace(r.pattern), "", "Authorization", acme)
			own := strings.HasPrefix(r.pattern, suppliersProducts) && of == "acme"
			if barred := w.Code == 403; barred == own {
				t.Errorf("%s %s of %s: status %d", r.method, r.pattern, of, w.Code)
			}
		}
	}
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/suppliers/other/products", "", "Authorization", acme), 403,
		"forbidden")
	// A role without whose it is, or whose without the role, is no role.
	for name, changes := range map[string][]any{
		"nobody's":      {"role", "supplier"},
		"of no id":      {"role", "supplier", "supplier", "a b"},
		"of a number":   {"role", "supplier", "supplier", 5},
		"an operator's": {"role", "operator", "supplier", "acme"},
	} {
		claims := shopperClaims(append([]any{"aud", string(auth.Operators)}, changes...)...)
		token := "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, claims)
		if w := askAdmin(s, "GET", acmeProducts, "", "Authorization", token); w.Code != 401 {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
	for _, c := range []auth.Claims{{Role: auth.Supplier}, {Role: auth.Operator, Supplier: "acme"},
		{Role: auth.Supplier, Supplier: "a b"}} {
		c.Audience, c.Subject, c.TTL = auth.Operators, "feed", time.Hour
		if _, err := c.Sign(testSecret, time.Now()); err == nil {
			t.Errorf("%+v was signed", c)
		}
	}
}

// dripping is a body of which a byte comes every ten seconds.
type dripping struct{}

func (dripping) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Second)
	return copy(p, " "), nil
}

// TestSlowSuppliersHoldUpThemselvesAlone: what a supplier brings byte by byte keeps neither
// operators nor other suppliers from importing, and is cut off.
func TestSlowSuppliersHoldUpThemselvesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
			c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret}
		})
		put := func(by auth.Claims, of string, body io.Reader) *httptest.ResponseRecorder {
			by.Audience, by.Subject, by.TTL = auth.Operators, "feed", time.Hour
			token, err := by.Sign(testSecret, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("PUT", "/admin/v1/suppliers/"+of+"/products", body)
			r.ContentLength = -1
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/x-ndjson")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w
		}
		acme := auth.Claims{Role: auth.Supplier, Supplier: "acme"}
		other := auth.Claims{Role: auth.Supplier, Supplier: "other"}
		slow := make(chan *httptest.ResponseRecorder)
		go func() { slow <- put(acme, "acme", dripping{}) }()
		time.Sleep(time.Second)
		const row = `{"id":"a","price":1,"currency":"EUR"}`
		if w := put(auth.Claims{Role: auth.Operator}, "acme", strings.NewReader(row)); w.Code != 200 {
			t.Errorf("an operator: %d %s", w.Code, w.Body)
		}
		if w := put(other, "other", strings.NewReader(row)); w.Code != 200 {
			t.Errorf("another supplier: %d %s", w.Code, w.Body)
		}
		wantAdminProblem(t, put(acme, "acme", strings.NewReader(row)), 409, "conflict")
		began := time.Now()
		wantAdminProblem(t, <-slow, 408, "timeout")
		if took := time.Since(began); took > 2*steadyWithin {
			t.Errorf("it was cut off after %s", took)
		}
		if w := put(acme, "acme", strings.NewReader(row)); w.Code != 200 {
			t.Errorf("the same later: %d %s", w.Code, w.Body)
		}
	})
}

// TestImportProducts: what is sent is what the office is told, in whichever format, with how
// it is to be taken.
func TestImportProducts(t *testing.T) {
	masks := engine.Product{ID: "mask-50", Supplier: "acme", Name: engine.Text{{Lang: "zh", Text: "口罩"}},
		ListPrice: 4900,
		Currency:  "CNY", Stock: engine.SupplierStock{Known: true, Figure: 7, Remaining: true, AsOf: fakeNow}}
	const query = "?currency=CNY&language=zh&as_of=2026-09-20T02:00:00Z"
	const row = `{"id":"mask-50","name":"口罩","price":"49","stock":{"remaining":7}}`
	for name, c := range map[string]struct{ query, kind, body string }{
		"json":       {query, "application/json", `{"id":"mask-50","name":"口罩","price":49.00,"stock":{"remaining":7}}`},
		"an array":   {query, "application/json", "[" + row + "]"},
		"ndjson":     {query, "application/x-ndjson", row + "\n"},
		"csv":        {query, "text/csv", "id,name,price,remaining\nmask-50,口罩,49,7\n"},
		"by a query": {query + "&format=ndjson", "text/csv", row},
		"shopify": {query, "text/csv", "Handle,Title,Variant SKU,Variant Price,Variant Inventory Qty\n" +
			"m,口罩,mask-50,49.00,7\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{putOut: engine.ProductImported{Count: 4, New: 1, Changed: 0}}
			w := askAdmin(newTestAdmin(t, f), "PUT", acmeProducts+c.query+"&note=spring", c.body, "Content-Type",
				c.kind)
			if w.Code != 200 || !reflect.DeepEqual(f.putRows, []engine.Product{masks}) || f.put.Replace ||
				f.put.Shrinks ||
				f.put.Count != 1 || f.note != "spring" || !strings.HasPrefix(f.put.Source, "sha256 ") {
				t.Fatalf("status %d %s\n%+v\n%+v", w.Code, w.Body, f.putRows, f.put)
			}
			want := `{"supplier":"acme","action":"change","rows":1,"new":1,"changed":0,"gone":0,"count":4}`
			if got := strings.TrimSpace(w.Body.String()); got != want {
				t.Errorf("%s", got)
			}
		})
	}
	f := &fakeOperator{}
	s := newTestAdmin(t, f)
	w := askAdmin(s, "PUT", acmeProducts+"?replace=true&sure=true", "", "Content-Type", "text/csv")
	if w.Code != 200 || !f.put.Replace || !f.put.Shrinks || f.put.Count != 0 {
		t.Errorf("status %d %s; %+v", w.Code, w.Body, f.put)
	}
	// Stock alone keeps all else.
	askAdmin(s, "PUT", acmeProducts, `{"id":"mask-50","stock":{"total":480}}`, "Content-Type", "application/json")
	want := fakeMasks().Product
	want.Stock.Figure = 480
	if !reflect.DeepEqual(f.putRows, []engine.Product{want}) {
		t.Errorf("%+v", f.putRows)
	}
	// Who asks for lines gets them.
	w = askAdmin(s, "PUT", acmeProducts, `{"id":"a","price":1,"currency":"EUR"}`, "Content-Type", "application/json",
		"Accept", "application/x-ndjson")
	if lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n"); len(lines) != 2 ||
		lines[0] != `{"committed":1,"of":1}` || !strings.Contains(lines[1], `"supplier":"acme"`) {
		t.Errorf("%q", lines)
	}
}

// TestImportRefused: what is wrong is told by its line, whoever finds it.
func TestImportRefused(t *testing.T) {
	const row = `{"id":"a","price":1,"currency":"EUR"}` + "\n"
	for name, c := range map[string]struct {
		f                  fakeOperator
		path, kind, body   string
		status             int
		slug, says, atLine string
	}{
		"a bad row": {path: acmeProducts, kind: "application/x-ndjson", body: row +
			`{"id":"b","price":-1,"currency":"EUR"}`,
			status: 422, slug: "catalogue", says: "One line is wrong, and nothing was changed.", atLine: "line 2"},
		"another's product": {f: fakeOperator{putOut: engine.ProductImported{Problems: []engine.ProductProblem{
			{Row: 1, Product: "b", Message: "it is another's"}}}}, path: acmeProducts, kind: "application/x-ndjson",
			body:   "\n" + row + "\n" + `{"id":"b","price":1,"currency":"EUR"}`,
			status: 422, slug: "catalogue", says: "One line is wrong, and nothing was changed.", atLine: "line 4"},
		"shrinks": {f: fakeOperator{putErr: &engine.Refusal{Reason: engine.ReasonShrinks}}, path: acmeProducts +
			"?replace=true", kind: "application/json", body: "[]", status: 409, slug: "unsure", says: "sure=true"},
		"a type": {path: acmeProducts, kind: "image/png", body: "x", status: 415, slug: "media-type"},
		"a currency": {path: acmeProducts + "?currency=XYZ", kind: "text/csv", body: "x", status: 400,
			slug: "malformed"},
		"a stock": {path: acmeProducts + "?stock=all", kind: "text/csv", body: "x", status: 400, slug: "malformed"},
		"a supplier": {path: "/admin/v1/suppliers/a%20b/products", kind: "text/csv", body: "x", status: 404,
			slug: "not-found"},
		"unknown outcome": {f: fakeOperator{putErr: engine.ErrOutcomeUnknown}, path: acmeProducts,
			kind: "application/json", body: row, status: 503, slug: "unavailable"},
		"the state can't be read": {f: fakeOperator{err: engine.ErrNotLeader}, path: acmeProducts,
			kind: "application/json", body: `{"id":"mask-50","stock":{"total":1}}`, status: 503, slug: "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := askAdmin(newTestAdmin(t, &c.f), "PUT", c.path, c.body, "Content-Type", c.kind)
			wantAdminProblem(t, w, c.status, c.slug)
			var p wire.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%s %v", w.Body, err)
			}
			if c.atLine != "" && (len(p.Problems) != 1 || p.Problems[0].Path != c.atLine) {
				t.Errorf("%+v, want %s", p.Problems, c.atLine)
			}
		})
	}
	// Once lines are told, a refusal is one, too.
	f := &fakeOperator{putErr: &engine.Refusal{Reason: engine.ReasonConflict}}
	w := askAdmin(newTestAdmin(t, f), "PUT", acmeProducts, row, "Content-Type", "application/x-ndjson", "Accept",
		"application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if w.Code != 200 || len(lines) != 2 || !strings.Contains(lines[1], `"status":409`) {
		t.Errorf("status %d %q", w.Code, lines)
	}
}

// TestTakenOutOfSight: each route does its own to what its path names, and says so.
func TestTakenOutOfSight(t *testing.T) {
	f := &fakeOperator{}
	s := newTestAdmin(t, f)
	for _, c := range []struct{ method, path, want string }{
		{"DELETE", "products/mask-50", "delete product mask-50"},
		{"POST", "products/mask-50/retire", "retire product mask-50"},
		{"POST", "products/mask-50/revive", "revive product mask-50"},
		{"DELETE", "sales/fans-day", "delete sale fans-day"},
		{"POST", "sales/fans-day/archive", "archive sale fans-day"},
		{"POST", "sales/fans-day/recall", "recall sale fans-day"},
		{"DELETE", "sessions/fans-day-10", "delete session fans-day-10"},
		{"POST", "sessions/fans-day-10/archive", "archive session fans-day-10"},
		{"POST", "sessions/fans-day-10/recall", "recall session fans-day-10"},
	} {
		var w *httptest.ResponseRecorder
		if c.method == "DELETE" {
			w = askAdmin(s, c.method, "/admin/v1/"+c.path+"?note=why", "")
		} else {
			w = askAdmin(s, c.method, "/admin/v1/"+c.path, `{"note":"why"}`)
		}
		if w.Code != 200 || f.gone[len(f.gone)-1] != c.want || f.note != "why" {
			t.Errorf("%s %s: status %d %s, %v %q", c.method, c.path, w.Code, w.Body, f.gone, f.note)
		}
	}
	f.err = &engine.Refusal{Reason: engine.ReasonOffered}
	wantAdminProblem(t, askAdmin(s, "DELETE", "/admin/v1/products/mask-50", ""), 409, "conflict")
	f.err = &engine.Refusal{Reason: engine.ReasonUnknown}
	wantAdminProblem(t, askAdmin(s, "DELETE", "/admin/v1/sales/none", ""), 404, "not-found")
}

// TestProductPages: pages have what is asked for, and lead to each other.
func TestProductPages(t *testing.T) {
	f := &fakeOperator{products: map[string]engine.ProductView{}}
	for _, id := range []string{"a-1", "a-2", "a-3", "b-1"} {
		p := fakeMasks()
		p.ID, p.Retired = id, id == "a-3"
		if id == "b-1" {
			p.Supplier = "other"
		}
		f.products[id] = p
	}
	s := newTestAdmin(t, f)
	page := func(path string) (ids, cursor string) {
		t.Helper()
		w := askAdmin(s, "GET", path, "")
		var j wire.Products
		if err := json.Unmarshal(w.Body.Bytes(), &j); w.Code != 200 || err != nil {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, p := range j.Products {
			ids += p.ID + " "
		}
		return ids, j.Cursor
	}
	for path, want := range map[string]string{
		"/admin/v1/products":                      "a-1 a-2 b-1 ",
		"/admin/v1/products?retired=true":         "a-1 a-2 a-3 b-1 ",
		"/admin/v1/products?supplier=other":       "b-1 ",
		"/admin/v1/products?prefix=a":             "a-1 a-2 ",
		acmeProducts:                              "a-1 a-2 ",
		acmeProducts + "?retired=true&prefix=a-3": "a-3 ",
		"/admin/v1/suppliers/nobody/products":     "",
	} {
		if ids, cursor := page(path); ids != want || cursor != "" {
			t.Errorf("%s: %q, cursor %q, want %q", path, ids, cursor, want)
		}
	}
	all, cursor := "", ""
	for first := true; first || cursor != ""; first = false {
		var ids string
		ids, cursor = page("/admin/v1/products?limit=2&cursor=" + cursor)
		all += ids + "| "
	}
	if all != "a-1 a-2 | b-1 | " {
		t.Errorf("pages %q", all)
	}
	if w := askAdmin(s, "GET", acmeProducts+"/b-1", ""); w.Code != 404 {
		t.Errorf("another's product below a supplier: %d", w.Code)
	}
	want := `{"id":"a-1","name":{"en":"Masks"},"supplier":"acme","list_price":4900,"currency":"CNY",` +
		`"place":{"latitude":31.2,"longitude":121.5},"stock":{"total":500},` +
		`"use":{"put_up":300,"held":20,"paid":100,"paid_before":0,"allowance":500}}`
	if w := askAdmin(s, "GET", acmeProducts+"/a-1", ""); strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%s", w.Body)
	}
	f.err = errors.New("a fault")
	if w := askAdmin(s, "GET", "/admin/v1/products", ""); w.Code != 500 {
		t.Errorf("status %d", w.Code)
	}
}

// TestStockReconciled: of each product both sides are told where they differ.
func TestStockReconciled(t *testing.T) {
	total := func(n int64) engine.SupplierStock { return engine.SupplierStock{Known: true, Figure: n} }
	left := func(n int64) engine.SupplierStock {
		return engine.SupplierStock{Known: true, Figure: n, Remaining: true, AsOf: fakeNow}
	}
	f := &fakeOperator{products: map[string]engine.ProductView{}}
	for id, c := range map[string]struct {
		stock engine.SupplierStock
		use   engine.ProductUse
	}{
		"agree":      {total(500), engine.ProductUse{Paid: 100, Allowance: 500}},
		"agree-left": {total(500), engine.ProductUse{Paid: 100, Allowance: 500}},
		"less":       {total(500), engine.ProductUse{Paid: 100, Allowance: 500}},
		"later":      {total(500), engine.ProductUse{Paid: 100, Allowance: 500}},
		"counted":    {left(50), engine.ProductUse{Paid: 130, PaidBefore: 100, Allowance: 150}},
		"over":       {total(10), engine.ProductUse{PutUp: 12, Held: 2, Paid: 10, Allowance: 10}},
		"missing":    {total(5), engine.ProductUse{Allowance: 5}},
		"nothing":    {engine.SupplierStock{}, engine.ProductUse{Allowance: -1}},
	} {
		p := fakeMasks()
		p.ID, p.Stock, p.Use, p.Offered = id, c.stock, c.use, false
		f.products[id] = p
	}
	w := askAdmin(newTestAdmin(t, f), "POST", "/admin/v1/suppliers/acme/reconciliations", "id,total,remaining,as_of\n"+
		"agree,500,,\n"+
		"agree-left,,400,2026-09-20T03:00:00Z\n"+
		"less,,380,2026-09-20T03:00:00Z\n"+
		"later,,430,2026-09-20T01:00:00Z\n"+
		"counted,,20,2026-09-20T03:00:00Z\n"+
		"over,10,,\n"+
		"new,7,,\n"+
		"nothing,3,,\n", "Content-Type", "text/csv")
	var report wire.StockReport
	if err := json.Unmarshal(w.Body.Bytes(), &report); w.Code != 200 || err != nil {
		t.Fatalf("status %d %s", w.Code, w.Body)
	}
	wantCounts := map[string]int{"stock": 1, "time": 1, "over": 1, "unknown_to_us": 1, "unknown_to_supplier": 1,
		"no_figure_here": 1}
	if report.Rows != 8 || report.Agree != 3 || !maps.Equal(report.Counts, wantCounts) {
		t.Errorf("%+v", report)
	}
	got := ""
	for _, d := range report.Differences {
		got += d.Kind + " " + d.Product + "\n"
	}
	const want = "stock less\ntime later\nover over\nunknown_to_us new\nno_figure_here nothing\n" +
		"unknown_to_supplier missing\n"
	if got != want {
		t.Errorf("%s", got)
	}
	if d := report.Differences[0]; d.Line != 4 || *d.Theirs.Remaining != 380 || *d.Ours.Total != 500 ||
		*d.Expected != 400 ||
		d.Use.Paid != 100 {
		t.Errorf("%+v", d)
	}
	if report.Verdict != "The figures of 3 products agree, and those of 6 products differ." {
		t.Errorf("%s", report.Verdict)
	}
}
