package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

var noon = engine.TimeOf(time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC))

// supplied is how the tests read, unless they say otherwise.
func supplied(change ...func(*Config)) Config {
	cfg := Config{Supplier: "acme", Currency: "EUR", AsOf: noon, Now: noon}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func text(english string) engine.Text { return engine.Text{{Lang: "en", Text: english}} }

func left(figure int64) engine.SupplierStock {
	return engine.SupplierStock{Known: true, Figure: figure, Remaining: true, AsOf: noon}
}

func total(figure int64) engine.SupplierStock {
	return engine.SupplierStock{Known: true, Figure: figure}
}

// TestFormats: what is written in each format is what is read.
func TestFormats(t *testing.T) {
	masks := engine.Product{ID: "mask-50", Supplier: "acme", Name: engine.Text{{Lang: "en", Text: "Masks"},
		{Lang: "zh", Text: "口罩"}}, ListPrice: 4900, Currency: "CNY", Image: "https://img.example.com/m.jpg",
		Place: &engine.Place{Latitude: 31.25, Longitude: 121.5}, Stock: total(500)}
	hat := engine.Product{ID: "hat", Supplier: "acme", Name: text("hat"), ListPrice: 1990, Currency: "EUR",
		Retired: true,
		Stock:   left(7)}
	both := []engine.Product{masks, hat}
	const objects = `{"id":"mask-50","name":{"zh":"口罩","en":"Masks"},"list_price":4900,"currency":"CNY",` +
		`"image":"https://img.example.com/m.jpg","place":{"latitude":31.25,"longitude":121.5},` +
		`"stock":{"total":500}}%s` +
		`{"id":"hat","price":"19.90","stock":{"remaining":7},"retired":true,"supplier":"acme","name":null}`
	for name, c := range map[string]struct {
		text string
		want []engine.Product
	}{
		"csv": {"id,name_zh,name,list_price,currency,image,latitude,longitude,total,remaining,as_of,retired," +
			"supplier\n" +
			"mask-50,口罩,Masks,4900,CNY,https://img.example.com/m.jpg,31.25,121.5,500,,,,\n" +
			"hat,,,1990,,,,,,7,2026-09-20T12:00:00Z,true,acme\n", both},
		"csv with semicolons, BOM, CRLF and prices": {"\xef\xbb\xbfID;Name;Price;Stock;Retired\r\nhat;;19.9;7;true\r\n",
			[]engine.Product{hat}},
		"tabs":                   {"id\tprice\tstock\tretired\nhat\t19.90\t7\ttrue\n", []engine.Product{hat}},
		"ndjson":                 {fmt.Sprintf(objects, "\n"), both},
		"ndjson with empty line": {fmt.Sprintf(objects, "\r\n\n") + "\n", both},
		"an array":               {"[" + fmt.Sprintf(objects, ",\n") + "]", both},
		"an empty array":         {" [ ] ", nil},
		"wrapped":                {`{ "products" : [` + fmt.Sprintf(objects, ",") + "\n]}\n", both},
		"one object over lines": {"{\n\"id\":\"hat\",\n\"price\":19.90,\"stock\":{\"remaining\":7,\n\"as_of\":" +
			"\"2026-09-20T14:00:00+02:00\"},\"retired\":true}", []engine.Product{hat}},
		"nothing": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := Read(strings.NewReader(c.text), supplied())
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Collect(list.Rows())
			if !reflect.DeepEqual(got, rowsOf(c.want)) || list.Len() != len(c.want) {
				t.Errorf("%d:\n%+v\nwant\n%+v", list.Len(), got, c.want)
			}
		})
	}
}

func rowsOf(products []engine.Product) (rows []engine.ProductRow) {
	for i := range products {
		rows = append(rows, engine.RowOf(&products[i]))
	}
	return rows
}

// TestShopSystems: what shop systems export is recognised by its header; what they call a
// SKU is a product, and rows that only group or illustrate are none.
func TestShopSystems(t *testing.T) {
	for file, want := range map[string][]engine.Product{
		"shopify.csv": {
			{ID: "HAT-R-M", Name: text("Wool hat Red M"), ListPrice: 2490, Stock: left(25),
				Image: "https://cdn.example.com/hat-red.jpg"},
			{ID: "HAT-B-L", Name: text("Wool hat Blue L"), ListPrice: 1990, Stock: left(0),
				Image: "https://cdn.example.com/hat.jpg"},
			{ID: "CARD-50", Name: text("Gift card"), ListPrice: 5000, Retired: true},
		},
		"shopify-new.csv": {
			{ID: "HAT-R", Name: text("Wool hat Red"), ListPrice: 1990, Stock: left(7),
				Image: "https://cdn.example.com/hat.jpg"},
			{ID: "HAT-B", Name: text("Wool hat Blue"), ListPrice: 2100, Stock: left(0),
				Image: "https://cdn.example.com/hat.jpg"},
		},
		"woocommerce.csv": {
			{ID: "TEE-S", Name: text("T-shirt - S"), ListPrice: 2000, Stock: left(12),
				Image: "https://shop.example.com/tee-s.jpg"},
			{ID: "COURSE", Name: text("Course"), ListPrice: 9950, Stock: left(0)},
		},
		"magento.csv": {
			{ID: "24-MB01", Name: text("Duffle bag"), ListPrice: 3400, Stock: left(100)},
			{ID: "MH01-XS", Name: text("Hoodie XS"), ListPrice: 5250, Retired: true,
				Image: "https://shop.example.com/mh01.jpg"},
		},
	} {
		t.Run(file, func(t *testing.T) {
			for i := range want {
				want[i].Supplier, want[i].Currency = "acme", "EUR"
			}
			written, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			list, err := Read(bytes.NewReader(written), supplied())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Collect(list.Rows()); !reflect.DeepEqual(got, rowsOf(want)) {
				t.Errorf("\n%+v\nwant\n%+v", got, want)
			}
			// Without a time nobody knows which of the units sold here are gone from the figures.
			_, err = Read(bytes.NewReader(written), supplied(func(c *Config) { c.AsOf = 0 }))
			if problems := (*Problems)(nil); !errors.As(err, &problems) || !strings.Contains(err.Error(), "as_of") {
				t.Errorf("without as_of: %v", err)
			}
			list, err = Read(bytes.NewReader(written), supplied(func(c *Config) { c.AsOf, c.Stock = 0, StockNone }))
			if err != nil {
				t.Fatal(err)
			}
			for p := range list.Rows() {
				if p.Stock.Known {
					t.Errorf("%s has a stock that was not to be looked at", p.ID)
				}
			}
		})
	}
}

// TestStockAlone: a row may say how much there is and nothing else, of a product that is
// there and the supplier's.
func TestStockAlone(t *testing.T) {
	there := engine.Product{ID: "mask-50", Supplier: "acme", Name: text("Masks"), ListPrice: 4900, Currency: "CNY",
		Image: "https://img.example.com/m.jpg", Stock: total(500)}
	cfg := supplied(func(c *Config) {
		c.Known = func(id string) (p engine.Product, found bool) {
			p = there
			if p.ID = id; id == "theirs" {
				p.Supplier = "other"
			}
			return p, id != "new"
		}
	})
	for given, want := range map[string]string{
		"id,total\nmask-50,480\n":                    "",
		`{"id":"mask-50","stock":{"total":480}}`:     "",
		"id,total\nnew,480\n":                        "line 2: new: it has no price, and there is no product",
		"id,total\nmask-50,480\ntheirs,480\n":        "line 3: theirs: it is a product of another supplier",
		`{"id":"mask-50"}`:                           "line 1: mask-50: it says nothing of the product",
		"id,total,remaining\nmask-50,1,1\n":          "line 2: it says both",
		"id,total,as_of\nmask-50,1,2026-09-20T0:0\n": "line 2: as_of: ",
	} {
		list, err := Read(strings.NewReader(given), cfg)
		if want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: %v, want %q", given, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", given, err)
			continue
		}
		changed := there
		changed.Stock = total(480)
		if got := slices.Collect(list.Rows()); !reflect.DeepEqual(got, rowsOf([]engine.Product{changed})) {
			t.Errorf("%q: %+v", given, got)
		}
	}
}

// TestBadRows: whatever is wrong is told by its line, in words that say what would be
// right, and nothing of the rest is taken.
func TestBadRows(t *testing.T) {
	const csvHead, good = "id,name,list_price,currency,total\n", "a,A,100,CNY,5\n"
	long := strings.Repeat("x", maxRowBytes+200<<10)
	for given, want := range map[string]string{
		csvHead + good + "b,B,100,CNY,-1\n": "line 3: b: the stock is -1; it can't be " +
			"below 0",
		csvHead + good + "b,B,100,CNY,9007199254740993\n": "line 3: b: the stock is " +
			"9007199254740993; it can't be over",
		csvHead + good + "b,B,100,CNY,99999999999999999999\n": "line 3: the stock must be a whole number",
		csvHead + good + "b,B,100,CNY,many\n":                 "line 3: the stock must be a whole number",
		csvHead + good + "b,B,49.00,CNY,1\n": "line 3: list_price must be a whole " +
			"number of minor units",
		csvHead + good + "b,B,-1,CNY,1\n":  "line 3: b: the price must be 0 to",
		csvHead + good + "b,B,1,XXX,1\n":   `line 3: b: "XXX" is no currency`,
		csvHead + good + "b c,B,1,CNY,1\n": `line 3: "b c" is no id`,
		csvHead + good + ",B,1,CNY,1\n":    `line 3: "" is no id`,
		csvHead + good + "a,A,100,CNY,5\n": "line 3: a is there twice, here and on " +
			"line 2",
		csvHead + good + "b,B,1,CNY\n": "line 3: the line has 4 columns, and the " +
			"first line names 5",
		csvHead + good + "b,\"B,1,CNY,1\nc,C,1,CNY,1\n":                  "line 3: the line is no CSV",
		csvHead + good + "b," + strings.Repeat("x", 1025) + ",1,CNY,1\n": "line 3: b: its name has 1025 bytes",
		csvHead + good + "b,a\u202eb,1,CNY,1\n": "line 3: b: its name has a line break, a " +
			"control character",
		csvHead + good + "b,\xff,1,CNY,1\n": "line 3: b: its name is not UTF-8",
		csvHead + good + "b,\"" + long:      "line 2: the row is longer than",
		"id,colour\na,red\n":                `line 1: the column "colour" is not known`,
		"id,name,id\na,A,a\n":               `line 1: the column "id" is there twice`,
		"id,total,stock\na,1,1\n": "line 1: there are the columns total and " +
			"stock",
		"sku;colour\n": "line 1: the first line must name the " +
			"columns",
		"a,A,100,CNY,5\n": "line 1: the first line must name the " +
			"columns",
		"id,price\na,1.234\n": `line 2: a: the price "1.234" is no ` +
			`amount of EUR such as 49.00`,
		"id,name\na,A\n": "line 2: a: it has no price",
		"id,price,image\na,1,javascript:alert\n": `line 2: a: "javascript:alert" is not an ` +
			`https`,
		"id,price,latitude,longitude\na,1,91,0\n": "line 2: a: the place 91,0 is not between",
		"id,price,latitude\na,1,1\n": "line 2: latitude and longitude must be " +
			"degrees",
		"id,price,supplier\na,1,other\n": `line 2: a is said to be of the supplier ` +
			`"other"`,
		"id,price,stock,as_of\na,1,5,2026-09-20T12:02:00Z\n": "line 2: a: as_of is 2026-09-20T12:02:00Z, which has not",
		"id,price,total,as_of\na,1,5,2026-09-20T11:02:00Z\n": "line 2: it says as_of of a total",
		"id,price,retired\na,1,yes\n":                        "line 2: retired must be true or false",
		"\xff\xfei\x00d\x00":                                 "line 1: the catalogue is in UTF-16",
		"PK\x03\x04":                                         "line 1: the catalogue is packed",
		`{"id":"a","price":1}` + "\n" + `{"id":"b","prize":1}`: `line 2: there is no member "prize"; ` +
			`members are id,`,
		`{"id":"a","price":1,"id":"b"}`: `line 1: the member "id" is there twice`,
		`{"id":5,"price":1}`:            `line 1: the member "id" must be a string`,
		`{"id":"a","price":1,"stock":5}`: `line 1: the member "stock" must be an ` +
			`object like {"total"`,
		`{"id":"a","price":1,"stock":{"total":1.5}}`: `line 1: the member "stock.total" must be ` +
			`a whole number`,
		`{"id":"a","price":1,"stock":{"total":1,"remaining":1}}`:         "line 1: its stock says both",
		`{"id":"a","price":1,"list_price":1}`:                            "line 1: it says both list_price and price",
		`{"id":"a","price":1,"name":{"Deutsch!":"x"}}`:                   `line 1: a: "Deutsch!" is no language`,
		`{"id":"a","price":1,"place":{"latitude":1}}`:                    `line 1: the member "place" must be`,
		`{"id":"a","price":1`:                                            "line 1: it is no JSON object like",
		"[\n{\"id\":\"a\",\"price\":1}\n{\"id\":\"b\"}]":                 "line 3: there must be a comma",
		"[\n{\"id\":\"a\",\"price\":1},\n{\"id\":\"b\",\"price\":-1}\n]": "line 3: b: the price must be",
		"[\n{\"id\":\"a\",\"price\":1},\n":                               "line 3: it ends too early",
		"[{\"id\":\"a\",\"price\":1}] x":                                 "line 1: it goes on after its end",
		`{"products":{"id":"a"}}`:                                        "line 1: the products must be an array",
		`{"products":[{"id":"a","price":1}],"more":1}`:                   "line 1: behind the products there must be",
		"[5]":                         "line 1: there must be a product, an object",
		"[{\"id\":\"" + long + "\"}]": "line 1: the row is longer than",
		`{"id":"a","price":1,"name":{"en":"A","zh":"　"}}`: "line 1: a: its name is empty",
		// What is blank for so long is not an empty catalogue: the products may be behind it.
		strings.Repeat(" ", 64<<10) + "id,price\na,1\n":                   "line 1: the catalogue begins with",
		strings.Repeat("\r\n", 40<<10):                                    "line 1: the catalogue begins with",
		"[{\"id\":\"a\",\"price\":1}]" + strings.Repeat(" ", 2<<20) + "x": "line 1: the row is longer than",
		"Handle,Title,Variant SKU,Variant Price\nh,Hat,,5\n":              `line 2: a variant of "h" has no SKU`,
		"SKU,Name,Type,Regular price\n,Tee,simple,5\n":                    `line 2: "Tee" has no SKU`,
	} {
		list, err := Read(strings.NewReader(given), supplied())
		if err == nil || !strings.Contains(err.Error(), want) || list != nil {
			t.Errorf("%.80q: %v, want %q", given, err, want)
		}
	}
}

// TestProblemsAreCounted: all are counted, and the first twenty told.
func TestProblemsAreCounted(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,price\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "p%d,-1\n", i)
	}
	_, err := Read(strings.NewReader(b.String()), supplied())
	var problems *Problems
	if !errors.As(err, &problems) || problems.Count != 1000 || len(problems.Told) != maxTold ||
		problems.Told[19].Line != 21 {
		t.Errorf("%v", err)
	}
}

// manyRows is a catalogue of so many products.
type manyRows struct {
	left, no int
	rest     []byte
}

func (m *manyRows) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		if m.left == 0 {
			return 0, io.EOF
		}
		m.left--
		m.no++
		m.rest = fmt.Appendf(m.rest[:0], "product-%d,%d,9\n", m.no, m.no)
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// TestTenMillion: a catalogue of ten million rows is refused at the first that is too many.
func TestTenMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("two million rows take a while")
	}
	rows := &manyRows{left: 10_000_000}
	_, err := Read(io.MultiReader(strings.NewReader("id,list_price,total\n"), rows), supplied())
	want := fmt.Sprintf("line %d: a catalogue may have %d products", MaxRows+2, MaxRows)
	if err == nil || !strings.HasPrefix(err.Error(), want) || rows.no > MaxRows+10_000 {
		t.Errorf("%v after %d rows", err, rows.no)
	}
}

// TestLines: the line of a row is known when something is wrong with it later.
func TestLines(t *testing.T) {
	list, err := Read(strings.NewReader("id,name,price\na,\"x\",1\n\nb,y,1\nc,z,1\n"), supplied())
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Lines([]int{0, 1, 1, 2, 7}); !slices.Equal(got, []int{2, 4, 4, 5}) {
		t.Errorf("%v", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"shopify.csv", "shopify-new.csv", "woocommerce.csv", "magento.csv"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`[{"id":"a","price":1,"stock":{"remaining":5,"as_of":"2026-09-20T02:15:00Z"}}]`))
	f.Add([]byte(`{"products":[{"id":"a","name":{"en":"x"},"place":{"latitude":1,"longitude":2}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Read(bytes.NewReader(text), supplied())
		if (err == nil) != (list != nil) {
			t.Fatalf("%v, %v", list, err)
		}
		if err != nil {
			return
		}
		n, state := 0, engine.NewState()
		for p := range list.Rows() {
			n++
			if p.Stock.Remaining {
				if p.Stock.AsOf == 0 {
					t.Fatalf("%s has remaining units as of no time", p.ID)
				}
				p.Stock.AsOf = 1 // the clock of a new state stands still
			}
			if wrong := state.WrongProduct("acme", &p); wrong != "" {
				t.Fatalf("%s: %+v", wrong, p)
			}
		}
		if n != list.Len() {
			t.Fatalf("%d rows of %d", n, list.Len())
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var text bytes.Buffer
	const rows = 100_000
	for i := range rows {
		fmt.Fprintf(&text, `{"id":"product-%d","name":{"en":"Product %d","zh":"商品 `+
			`%d"},"list_price":%d,"currency":"CNY",`+
			`"image":"https://img.example.com/%d.jpg","stock":{"total":500}}`+"\n", i, i, i, i, i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Read(bytes.NewReader(text.Bytes()), supplied()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
