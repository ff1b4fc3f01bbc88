package statement_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile/statement"
)

const (
	header = "payment_id,order_no,amount,currency,kind,at\n"
	good   = "p-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,payment,2026-09-20T02:15:00Z\n"
	good2  = "p-2,0123456789ABDEFGHJKMNPQR,100,CNY,payment,2026-09-20T02:15:01Z\n"
)

func ExampleCheck() {
	text := header + good + good + "p-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T10:20:00+08:00\n"
	summary, err := statement.Check(context.Background(), strings.NewReader(text), new(statement.Reading), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	earlier, _ := summary.Repeats(3)
	fmt.Println(summary.Format, summary.Payments, summary.Refunds, summary.First.Wall().Format("15:04"),
		summary.Last.Wall().Format("15:04"))
	fmt.Println("line 3 says what line", earlier, "says")
	// Output:
	// csv 1 1 02:15 02:20
	// line 3 says what line 2 says
}

func ExampleReader() {
	r, err := statement.Open(strings.NewReader(`{"payment_id":"p-1","order_no":"0123456789ABCDEFGHJKMNPQ","amount":4900,"currency":"CNY","kind":"payment","at":"2026-09-20T02:15:00Z"}`+"\n"), new(statement.Reading))
	if err != nil {
		fmt.Println(err)
		return
	}
	var row statement.Row
	for {
		if err := r.Next(&row); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Line, row.Kind, row.PaymentID, row.OrderNo, row.Amount, row.Currency)
	}
	// Output:
	// 1 payment p-1 0123456789ABCDEFGHJKMNPQ 4900 CNY
	// EOF
}

func check(text string) (*statement.Summary, error) {
	return statement.Check(context.Background(), strings.NewReader(text), new(statement.Reading), nil)
}

// What can't be taken is told with its line and with what would be right.
func TestMalformedIsNamed(t *testing.T) {
	utf16le := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(header + good)) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
	}
	bare := utf16le[2:]
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "the file is empty"},
		{"blank", "\n\n\r\n", "the file is empty"},
		{"no header", good, "lacks payment_id, order_no, amount, currency, kind, at"},
		{"wrong header", "id,order,sum,cur,kind,at\n" + good, "lacks payment_id, order_no, amount, currency"},
		{"header with capitals", strings.ToUpper(header) + good, "lacks payment_id"},
		{"a column twice", "payment_id,payment_id,order_no,amount,currency,kind,at\n", "the column payment_id twice"},
		{"semicolons", strings.ReplaceAll(header, ",", ";"), "not separated by commas"},
		{"UTF-16", string(utf16le), "UTF-16"},
		{"UTF-16 without a mark", string(bare), "UTF-16"},
		{"UTF-32", "\xff\xfe\x00\x00p\x00\x00\x00", "UTF-32"},
		{"gzip", "\x1f\x8b\x08\x00aaaaaaaaaa", "gzip"},
		{"a workbook", "PK\x03\x04aaaaaaaaaa", "workbook"},
		{"another encoding", "payment_id,order_no,amount,currency,kind,at,name\np-1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,2026-09-20T02:15:00Z,\xcd\xf5\n", "line 2: byte 65 (0xcd) is not UTF-8"},
		{"negative", header + "p-1,0123456789ABCDEFGHJKMNPQ,-4900,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: the amount -4900 is negative"},
		{"a decimal amount", header + "p-1,0123456789ABCDEFGHJKMNPQ,49.00,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: the amount \"49.00\" is no whole number of minor units"},
		{"an amount over all bounds", header + "p-1,0123456789ABCDEFGHJKMNPQ,9999999999999999999999,CNY,payment,2026-09-20T02:15:00Z\n", "line 2: the amount"},
		{"no amount", header + "p-1,0123456789ABCDEFGHJKMNPQ,,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: the amount \"\""},
		{"a garbled line", header + good + "@@@@\n", "line 3: it has 1 columns, the header has 6"},
		{"a garbled id", header + "p 1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: the payment_id \"p 1\""},
		{"no order", header + "p-1,,1,CNY,payment,2026-09-20T02:15:00Z\n", "line 2: the order_no \"\""},
		{"another kind", header + "p-1,0123456789ABCDEFGHJKMNPQ,1,CNY,sale,2026-09-20T02:15:00Z\n",
			"line 2: the kind \"sale\" is neither"},
		{"a currency by its sign", header + "p-1,0123456789ABCDEFGHJKMNPQ,1,¥,payment,2026-09-20T02:15:00Z\n",
			"line 2: the currency"},
		{"a time without a zone", header + "p-1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,2026-09-20 02:15:00\n",
			"line 2: the time \"2026-09-20 02:15:00\""},
		{"a time that can't be", header + "p-1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,1026-09-20T02:15:00Z\n",
			"line 2: the time"},
		{"a quote left open", header + "\"p-1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: a quote is not closed"},
		{"zero bytes within", header + "p\x00-1,0123456789ABCDEFGHJKMNPQ,1,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 2: byte 2 is a control character"},
		{"cut off", header + good + good2[:30], "line 3: it has no end: the file may have been cut off"},
		{"cut off behind a column", header + good + strings.TrimSuffix(good2, "\n"), "line 3: it has no end"},
		{"cut off in the header", "payment_id,order_", "line 1: it has no end"},
		{"a line without end", header + strings.Repeat("x", 100_000) + "\n", "line 2: it has over 8192 bytes"},
		{"says two things", header + good + "p-1,0123456789ABCDEFGHJKMNPQ,4901,CNY,payment,2026-09-20T02:15:00Z\n",
			"line 3: it says of its payment_id something else than line 2"},
		{"NDJSON cut off", `{"payment_id":"p-1","order_no":"0123456789ABCDEFGHJKMNPQ","amount":1`,
			"line 1: it has no end"},
		{"NDJSON garbled", "{\"order_no\":\"0123456789ABCDEFGHJKMNPQ\",\"payment_id\":{}}\n",
			"line 1: the member payment_id must be a string or a number"},
		{"NDJSON that is none", "{\"order_no\":\"0123456789ABCDEFGHJKMNPQ\",\n",
			"line 1: it is not JSON: it ends too early, at byte 39"},
		{"NDJSON with half a unit", `{"payment_id":"p-1","order_no":"0123456789ABCDEFGHJKMNPQ","amount":0.5,"currency":"CNY","kind":"payment","at":"2026-09-20T02:15:00Z"}` + "\n", "line 1: the amount \"0.5\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := check(c.text)
			var bad *statement.Malformed
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// Every bad line is told, not the first alone, and a flood of them is cut.
func TestAllProblemsAreTold(t *testing.T) {
	bad := "p-1,0123456789ABCDEFGHJKMNPQ,-1,CNY,payment,2026-09-20T02:15:00Z\n"
	_, err := check(header + bad + good + strings.Repeat(bad, 100))
	var m *statement.Malformed
	if !errors.As(err, &m) || len(m.Problems) != statement.MostProblems || m.More != 101-statement.MostProblems {
		t.Fatalf("%v", err)
	}
	if m.Problems[0].Line != 2 || m.Problems[1].Line != 4 {
		t.Errorf("lines %d, %d", m.Problems[0].Line, m.Problems[1].Line)
	}
}

// The same bad value of a filter is told once, however often it was given.
func TestBadFiltersAreToldOnce(t *testing.T) {
	long := strings.Repeat("x", 65)
	err := statement.Reading{Kinds: []string{"", "fee", "", long, ""}, OrderPrefixes: []string{"", "", long,
		long}}.Validate()
	const each = `among the %s, %q has not 1 to 64 bytes`
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Fatalf("%v", err)
	}
	for _, what := range []string{"kinds to ignore", "order prefixes"} {
		if told := fmt.Sprintf(each, what, ""); strings.Count(err.Error(), told) != 1 {
			t.Errorf("%v; want once %s", err, told)
		}
	}
}

// Sums are kept for each currency and day, so there is an end to both: the line that
// is one too many is named, and as many as may be are taken.
func TestCurrenciesAndDaysAreBounded(t *testing.T) {
	row := func(i int, currency string, day int) string {
		return fmt.Sprintf("p-%d,0123456789ABCDEFGHJKMNPQ,4900,%s,payment,%s\n", i, currency, time.Date(2020, 1, 1+day,
			23, 59, 59, 0, time.UTC).Format(time.RFC3339))
	}
	for _, c := range []struct {
		name, want string
		most       int
		row        func(i int) string
	}{
		{"currencies", "line 66: with the currency AME the lines have more than 64 currencies", statement.MaxCurrencies,
			func(i int) string { return row(i, fmt.Sprintf("A%c%c", 'A'+i/5, 'A'+i%5), 0) }},
		{"days", "line 1002: with 2022-09-27 the lines are of more than 1000 days", statement.MaxDays,
			func(i int) string { return row(i, "CNY", i) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString(header)
			for i := range c.most {
				text.WriteString(c.row(i))
			}
			if s, err := check(text.String() + c.row(0)); err != nil || s.Payments != int64(c.most) {
				t.Fatalf("%d of them: %v", c.most, err)
			}
			_, err := check(text.String() + c.row(c.most) + c.row(c.most+1))
			var bad *statement.Malformed
			if !errors.As(err, &bad) || len(bad.Problems) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

func TestWhatIsRead(t *testing.T) {
	want := statement.Row{Line: 2, Kind: statement.Refund, PaymentID: "p-1", OrderNo: "0123456789ABCDEFGHJKMNPQ",
		Amount: 4900, Currency: "CNY", At: 1789870500000, Transaction: "t-1"}
	object := `{"at":"2026-09-20T02:15:00Z","kind":"refund","payment_id":"p-1","order_no":"0123456789ABCDEFGHJKMNPQ","amount":4900,"currency":"CNY","transaction_id":"t-1","note":{"a":[1]}}`
	for name, text := range map[string]string{
		"plain":        "payment_id,order_no,amount,currency,kind,at,transaction_id\np-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T02:15:00Z,t-1\n",
		"with a mark":  "\xef\xbb\xbfpayment_id,order_no,amount,currency,kind,at,transaction_id\np-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T02:15:00Z,t-1\n",
		"from Windows": "payment_id,order_no,amount,currency,kind,at,transaction_id\r\np-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T02:15:00Z,t-1\r\n",
		"quoted":       "\"payment_id\",order_no,amount,currency,kind,at,transaction_id\n\"p-1\",\"0123456789ABCDEFGHJKMNPQ\",\"4900\",CNY,refund,2026-09-20T02:15:00Z,\"t-1\"\n",
		"others between": "at,note,kind,transaction_id,payment_id,order_no,amount,currency\n2026-09-20T02:15:00Z,\"a " +
			"\"\"b\"\", 王\",refund,t-1,p-1,0123456789ABCDEFGHJKMNPQ,4900,CNY\n",
		"another zone":    "payment_id,order_no,amount,currency,kind,at,transaction_id\np-1,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T10:15:00+08:00,t-1\n",
		"NDJSON":          "\n" + object + "\n",
		"NDJSON with BOM": "\xef\xbb\xbf\r\n" + object + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := statement.Open(strings.NewReader(text), new(statement.Reading))
			if err != nil {
				t.Fatal(err)
			}
			var row statement.Row
			if err := r.Next(&row); err != nil || row != want {
				t.Errorf("%+v, %v\nwant %+v", row, err, want)
			}
			if err := r.Next(&row); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

// A long statement takes memory by its rows alone, and of what is no line none.
func TestMemoryIsBounded(t *testing.T) {
	const rows = 300_000
	peak := func(text io.Reader, how *statement.Reading) (grown int64, err error) {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err = statement.Check(context.Background(), text, how, func(n int64) {
			if (n+1)%(64<<10) != 0 {
				return
			}
			runtime.GC()
			runtime.ReadMemStats(&now)
			grown = max(grown, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		})
		return grown, err
	}
	grown, err := peak(io.MultiReader(strings.NewReader(header), &endless{row: func(i int) string {
		return fmt.Sprintf("p-%d,0123456789ABCDEFGHJKMNPQ,4900,CNY,payment,2026-09-20T02:15:00Z\n", i)
	}, left: rows}), new(statement.Reading))
	const most = rows*36 + 4<<20
	if err != nil || grown > most || grown == 0 {
		t.Errorf("%d rows took %d bytes, over %d; %v", rows, grown, most, err)
	}
	grown, err = peak(wechatOf(rows), asked(t, statement.Auto))
	if err != nil || grown > most || grown == 0 {
		t.Errorf("%d rows of WeChat's took %d bytes, over %d; %v", rows, grown, most, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = statement.Check(context.Background(), &endless{row: func(int) string { return strings.Repeat("a", 1<<16) },
		left: 1 << 11}, new(statement.Reading), nil)
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); err == nil || grown > 256<<20 {
		t.Errorf("128 MiB without a line took %d bytes; %v", grown, err)
	}
}

// endless gives rows that nobody keeps.
type endless struct {
	row  func(i int) string
	i    int
	left int
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.rest = e.row(e.i)
		e.i++
		e.left--
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestTooManyLines(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 20 million lines")
	}
	_, err := statement.Check(context.Background(), &endless{row: func(int) string {
		return strings.Repeat("\n",
			1<<16)
	}, left: statement.MaxLines>>16 + 1}, new(statement.Reading), nil)
	if err == nil || !strings.Contains(err.Error(), "at most 20000000 lines") && !strings.Contains(err.Error(),
		"empty") {
		t.Error(err)
	}
}

func TestStopsWhenTold(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	text := io.MultiReader(strings.NewReader(header), &endless{row: func(i int) string {
		return fmt.Sprintf("p-%d%s", i,
			good[3:])
	}, left: 1 << 20})
	if _, err := statement.Check(ctx, text, new(statement.Reading),
		func(int64) { stop() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzCheck: whatever is sent is read without a panic, and what is taken is within
// the bounds of a row, the same each time.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{header + good + good, "{\n", header + "\"", `{"payment_id":"p"}` + "\n", header +
		",,,,,\np-1,#1001,5,CNY,fee,\ntotal\n", "\xef\xbb\xbf" + header + good2} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		summary, err := statement.Check(context.Background(), bytes.NewReader(text), new(statement.Reading), nil)
		if err != nil {
			var bad *statement.Malformed
			if !errors.As(err, &bad) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		r, err := statement.Open(bytes.NewReader(text), new(statement.Reading))
		if err != nil {
			t.Fatal(err)
		}
		rows, foreign, repeated := int64(0), int64(0), 0
		for {
			var row statement.Row
			err := r.Next(&row)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("checked and yet: %v", err)
			}
			if row.Kind == statement.Foreign {
				if foreign++; row.NotOurs == "" {
					t.Fatalf("%+v", row)
				}
				continue
			}
			if row.Amount < 0 || !engine.ValidKey(row.PaymentID) || !engine.ValidID(row.OrderNo) ||
				row.At < summary.First || row.At > summary.Last {
				t.Fatalf("%+v", row)
			}
			if _, again := summary.Repeats(row.Line); again {
				repeated++
			} else {
				rows++
			}
		}
		if rows != summary.Payments+summary.Refunds || foreign != summary.NotOurs.Count ||
			repeated != summary.Repeated() {
			t.Fatalf("%d rows and %d repeated, %+v", rows, repeated, summary)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	const rows = 100_000
	b.SetBytes(rows)
	for b.Loop() {
		_, err := statement.Check(context.Background(), io.MultiReader(strings.NewReader(header),
			&endless{row: func(i int) string {
				return fmt.Sprintf("p-%d,0123456789ABCDEFGHJKMNPQ,4900,CNY,payment,2026-09-20T02:15:00Z\n", i)
			}, left: rows}), new(statement.Reading), nil)
		if err != nil {
			b.Fatal(err)
		}
	}
}
