package goods

import (
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestSupplierByItself: a supplier's token reads and writes its own products, through the API
// and the program, and nothing else at all; of another's product it hears that the id is
// taken, and not by whom.
func TestSupplierByItself(t *testing.T) {
	key := func(name string) string { return file(t, name, strings.Repeat(name, 8)) }
	opsKey := key("operators")
	dir := t.TempDir()
	s := &nodetest.Shop{T: t, Dir: dir, Logs: nodetest.NewLogBook()}
	s.Start(nodetest.Command(t, "serve", "--data", dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--log-format", "json", "--shopper-key-file", key("shoppers"), "--cashier-key-file", key("cashiers"),
		"--ops-key-file", opsKey))
	s.AwaitServing()
	token := func(args ...string) (text, path string) {
		t.Helper()
		status, out, errs := nodetest.Tool(t, "", append([]string{"token", "--sub", "feed", "--key-file", opsKey},
			args...)...)
		if status != 0 {
			t.Fatal(errs)
		}
		return strings.TrimSpace(out), file(t, "token", out)
	}
	operator, operators := token("--role", "operator")
	acme, acmes := token("--role", "supplier", "--supplier", "acme")
	secretive, _ := token("--role", "supplier", "--supplier", "secretive")
	const products = `{"id":"%s","name":"Mug","list_price":4900,"currency":"CNY","stock":{"total":%d}}`
	put := func(token, supplier, product string, total int) nodetest.Reply {
		t.Helper()
		s.Token = token
		return s.Ops("PUT", "/admin/v1/suppliers/"+supplier+"/products", fmt.Sprintf(products, product, total))
	}
	status, out, errs := nodetest.Tool(t, `products: [{id: own, list_price: 1, currency: CNY}]`, "apply", "-f", "-",
		"--admin", s.Admin, "--token-file", operators)
	if status != 0 {
		t.Fatal(out, errs)
	}
	for _, c := range []struct {
		token, supplier, product string
		status                   int
	}{{acme, "acme", "mug", 200}, {secretive, "secretive", "cup", 200}, {acme, "secretive", "jug", 403},
		{acme, "acme", "cup", 422}, {acme, "acme", "own", 422}} {
		a := put(c.token, c.supplier, c.product, 5)
		if a.Status != c.status {
			t.Errorf("%s of %s: %d %s", c.product, c.supplier, a.Status, a.Body)
		}
		if c.token == acme && c.supplier == "acme" && strings.Contains(a.Body, "secretive") {
			t.Errorf("whose %s is has been told: %s", c.product, a.Body)
		}
	}

	// Every way to ask of what is another's: refused, or as if it were not there, or its id is taken.
	rows := "id,price,total\ncup,1,5\n"
	for _, c := range []struct {
		method, path, kind, body string
		status                   int
	}{
		{"GET", "acme/products/mug", "", "", 200}, {"GET", "acme/products/cup", "", "", 404},
		{"GET", "acme/products/own", "", "", 404}, {"GET", "acme/products?prefix=c", "", "", 200},
		{"GET", "acme/products?supplier=secretive", "", "", 400},
		{"PUT", "acme/products?currency=CNY", "text/csv", rows, 422},
		{"PUT", "acme/products?currency=CNY&replace=true", "text/csv", rows, 422},
		{"PUT", "acme/products", "text/csv", "id,total\ncup,1\n", 422},
		{"PUT", "acme/products", "text/csv", "id,retired\ncup,true\n", 422},
		{"POST", "acme/pull", "application/json", "{}", 403},
		{"POST", "acme/reconciliations", "text/csv", "id,total\ncup,1\n", 403},
		{"GET", "secretive/products", "", "", 403}, {"GET", "secretive/products/cup", "", "", 403},
		{"GET", "secretive/products/mug", "", "", 403}, {"PUT", "secretive/products", "text/csv", rows, 403},
	} {
		header := []string{"Authorization", "Bearer " + acme}
		if c.kind != "" {
			header = append(header, "Content-Type", c.kind)
		}
		a := s.Do(c.method, "http://"+s.Admin+"/admin/v1/suppliers/"+c.path, c.body, header...)
		if a.Status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
		if told := strings.ReplaceAll(a.Body, "/suppliers/secretive/", ""); strings.Contains(told, "secretive") {
			t.Errorf("%s %s tells whose it is: %s", c.method, c.path, a.Body)
		}
	}
	for template, methods := range operations(t) {
		for method := range methods {
			path := strings.NewReplacer("{supplier}", "secretive", "{product}", "cup").Replace(template)
			path = pathParameter.ReplaceAllString(path, "x")
			a := s.Do(strings.ToUpper(method), "http://"+s.Admin+path, "", "Authorization", "Bearer "+acme)
			if a.Status != 403 {
				t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
	}

	// Through the program.
	run := func(want int, says string, args ...string) {
		t.Helper()
		got, out, errs := nodetest.Tool(t, "", append(args, "--admin", s.Admin, "--token-file", acmes)...)
		if got != want || !strings.Contains(out+errs, says) {
			t.Errorf("%v: status %d: %s%s; want %d and %q", args, got, out, errs, want, says)
		}
	}
	run(0, "1 changed", "products", "import", "acme", file(t, "less.csv", "id,total\nmug,3\n"))
	run(0, "mug", "products", "list", "--supplier", "acme")
	run(1, "403", "products", "list", "--supplier", "secretive")
	run(1, "403", "products", "import", "secretive", file(t, "theirs.csv", "id,total\ncup,3\n"))
	run(1, "403", "products", "retire", "mug")
	s.Token = operator
	for product, total := range map[string]int64{"mug": 3, "cup": 5} {
		if p := productNow(s, product); *p.Stock.Total != total {
			t.Errorf("%s: %+v", product, p)
		}
	}
}
