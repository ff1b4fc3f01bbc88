package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/payment"
)

// office keeps what it takes, as the state does.
type office struct {
	products map[string]engine.Product
	imports  []engine.ProductImport
	err      error
	late     error // of an import whose commit was asked for
}

func (o *office) Product(id string) (engine.ProductView, bool, error) {
	p, known := o.products[id]
	return engine.ProductView{Product: p}, known, o.err
}

func (o *office) ProductPage(engine.ProductFilter, int, int) ([]engine.ProductView, int, bool, error) {
	return nil, 0, true, o.err
}

func (o *office) Suppliers() ([]engine.SupplierInfo, error) {
	return []engine.SupplierInfo{{ID: "acme", Products: int64(len(o.products))}}, o.err
}

func (o *office) ImportProducts(_ context.Context, supplier string,
	in engine.ProductImport) (out engine.ProductImported,
	err error) {
	if o.err != nil {
		return out, o.err
	}
	if in.Count*2 < len(o.products) && !in.Shrinks {
		return out, &engine.Refusal{Reason: engine.ReasonShrinks}
	}
	if o.late != nil {
		return out, o.late
	}
	o.imports, o.products = append(o.imports, in), map[string]engine.Product{}
	for row := range in.Rows {
		o.products[string(row.ID)] = row.Product(supplier)
	}
	out.Count = int64(len(o.products))
	return out, nil
}

// pulling is a Puller of one source by a clock of its own.
type pulling struct {
	*Puller
	t      *testing.T
	office *office
	clock  time.Time
	leads  bool
	log    bytes.Buffer
	all    *prometheus.Registry
}

func newPulling(t *testing.T, url string, change ...func(*Source)) *pulling {
	t.Helper()
	p := &pulling{t: t, office: &office{}, clock: time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC), leads: true,
		all: prometheus.NewRegistry()}
	s := Source{Supplier: "acme", URL: url, Every: time.Hour, MaxBytes: 1 << 20,
		Reading: catalogue.Config{Currency: "EUR"}}
	for _, c := range change {
		c(&s)
	}
	var err error
	if p.Puller, err = New(Config{Sources: []Source{s}, Office: p.office, Leads: func() bool { return p.leads },
		Now: func() time.Time { return p.clock }, Log: slog.New(slog.NewTextHandler(&p.log, nil)), Registerer: p.all,
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pulling) look() { p.Puller.look(p.t.Context(), p.sources[0]) }

func (p *pulling) metric(name string) float64 {
	p.t.Helper()
	families, err := p.all.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range families {
		if m.GetName() == "doorbuster_catalogue"+name {
			return m.Metric[0].GetGauge().GetValue() + m.Metric[0].GetCounter().GetValue()
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}

// supplier answers as a test tells it to.
type supplier struct {
	*httptest.Server
	rows   string
	etag   string
	status int
	header http.Header
	asked  []*http.Request
	stale  bool // it says that nothing has changed, whatever has
	until  bool // its answer goes on until the connection ends
}

func newSupplier(t *testing.T) *supplier {
	s := &supplier{status: 200, header: http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r)
		for name, values := range s.header {
			w.Header()[name] = values
		}
		if s.etag != "" {
			w.Header().Set("ETag", s.etag)
		}
		if match := r.Header.Get("If-None-Match"); match != "" && (match == s.etag || s.stale) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if s.until {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\nid,price,total\n"+s.rows)
			return
		}
		w.WriteHeader(s.status)
		fmt.Fprint(w, "id,price,total\n"+s.rows)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *supplier) lastMatch() string { return s.asked[len(s.asked)-1].Header.Get("If-None-Match") }

// TestPulledAtItsPace: the leader fetches when it is due, takes what is new in place of what
// there was, and nobody else fetches anything.
func TestPulledAtItsPace(t *testing.T) {
	from := newSupplier(t)
	from.rows = "a,1,5\nb,2,6\n"
	p := newPulling(t, from.URL)
	p.leads = false
	p.look()
	p.leads = true
	if p.look(); len(from.asked) != 1 || len(p.office.imports) != 1 {
		t.Fatalf("%d asked, %d taken: %s", len(from.asked), len(p.office.imports), p.log.String())
	}
	in := p.office.imports[0]
	if !in.Replace || in.Shrinks || in.By.Operator != operator || !strings.HasPrefix(in.Source, "sha256 ") ||
		p.office.products["b"].Stock.Figure != 6 || p.office.products["b"].Supplier != "acme" {
		t.Errorf("%+v %+v", in, p.office.products)
	}
	p.clock = p.clock.Add(time.Hour - time.Second)
	if p.look(); len(from.asked) != 1 {
		t.Error("it was asked too early")
	}
	p.clock = p.clock.Add(time.Second)
	from.rows = "a,1,4\nb,2,6\n"
	if p.look(); len(p.office.imports) != 2 || p.office.products["a"].Stock.Figure != 4 {
		t.Errorf("%+v", p.office.products)
	}
}

// TestETags: what has not changed is not fetched, but once a day; a server that lies about
// that is found out and not asked so again.
func TestETags(t *testing.T) {
	from := newSupplier(t)
	from.rows, from.etag = "a,1,5\n", `"one"`
	p := newPulling(t, from.URL)
	next := func() {
		p.clock = p.clock.Add(time.Hour)
		p.look()
	}
	p.look()
	if next(); from.lastMatch() != `"one"` || len(p.office.imports) != 1 {
		t.Fatalf("asked with %q, %d taken", from.lastMatch(), len(p.office.imports))
	}
	from.rows, from.etag = "a,1,4\n", `"two"`
	if next(); len(p.office.imports) != 2 || p.office.products["a"].Stock.Figure != 4 {
		t.Fatalf("%d taken", len(p.office.imports))
	}
	// Another ETag for the same is nothing new.
	from.etag = `"three"`
	if next(); len(p.office.imports) != 2 || from.lastMatch() != `"two"` {
		t.Errorf("%d taken, asked with %q", len(p.office.imports), from.lastMatch())
	}
	// It lies: there is something new, and it says that there is not.
	from.rows, from.stale = "a,1,3\n", true
	for range 22 {
		next()
	}
	if len(p.office.imports) != 2 {
		t.Fatalf("%d taken", len(p.office.imports))
	}
	for range 3 {
		next()
	}
	if len(p.office.imports) != 3 || p.office.products["a"].Stock.Figure != 3 ||
		p.metric("_pull_wrong_etags_total") != 1 ||
		!strings.Contains(p.log.String(), "same ETag") {
		t.Errorf("%d taken after a day: %s", len(p.office.imports), p.log.String())
	}
	if next(); from.lastMatch() != "" {
		t.Error("it is believed again")
	}
	// 304 to who did not ask.
	from.stale, from.status = false, 304
	if next(); len(p.Alarms()) != 1 || !strings.Contains(p.Alarms()[0].Detail, "304") {
		t.Errorf("%+v", p.Alarms())
	}
}

// TestAnotherHasLed: a node that leads again does not know what was taken meanwhile: it
// fetches all of it, though the server has what it had last.
func TestAnotherHasLed(t *testing.T) {
	from := newSupplier(t)
	from.rows, from.etag = "a,1,5\n", `"one"`
	p := newPulling(t, from.URL)
	p.look()
	p.leads = false
	p.look()
	p.office.products["a"] = engine.Product{ID: "a", Supplier: "acme"} // another one was taken, and this one is back
	p.leads = true
	if p.look(); from.lastMatch() != "" || len(p.office.imports) != 2 || p.office.products["a"].Stock.Figure != 5 {
		t.Errorf("asked with %q, %d taken: %+v", from.lastMatch(), len(p.office.imports), p.office.products)
	}
	p.clock = p.clock.Add(time.Hour)
	if p.look(); from.lastMatch() != `"one"` || len(p.office.imports) != 2 {
		t.Errorf("asked with %q, %d taken", from.lastMatch(), len(p.office.imports))
	}
}

// TestShrinking: a catalogue that shrinks to nothing, or by more than half, is an alarm and
// not taken until somebody says that it is meant.
func TestShrinking(t *testing.T) {
	from := newSupplier(t)
	from.rows = "a,1,5\nb,1,5\nc,1,5\nd,1,5\n"
	p := newPulling(t, from.URL)
	p.look()
	for _, rows := range []string{"", "a,1,5\n"} {
		from.rows = rows
		p.clock = p.clock.Add(time.Hour)
		p.look()
		alarms := p.Alarms()
		if len(p.office.products) != 4 || len(alarms) != 1 || alarms[0].Name != engine.AlarmCatalogueShrinks ||
			alarms[0].About != "acme" || !strings.Contains(alarms[0].Advice, "doorbuster products pull acme --yes") {
			t.Fatalf("%q: %d left, %+v", rows, len(p.office.products), alarms)
		}
		if _, err := p.Pull(t.Context(), "acme", engine.By{Operator: "olga"}, "", false); !errors.Is(err, ErrShrinks) {
			t.Errorf("%v", err)
		}
	}
	from.rows = "a,1,5\nb,1,5\n"
	p.clock = p.clock.Add(time.Hour)
	if p.look(); len(p.office.products) != 2 || len(p.Alarms()) != 0 {
		t.Errorf("half: %d left, %+v", len(p.office.products), p.Alarms())
	}
	from.rows = ""
	p.clock = p.clock.Add(time.Hour)
	p.look()
	out, err := p.Pull(t.Context(), "acme", engine.By{Operator: "olga"}, "they are closing", true)
	if in := p.office.imports[len(p.office.imports)-1]; err != nil || out.Rows != 0 || !in.Shrinks ||
		in.By.Operator != "olga" || in.Note != "they are closing" || len(p.office.products) != 0 ||
		len(p.Alarms()) != 0 {
		t.Errorf("%+v %v, %+v, %+v", out, err, in, p.Alarms())
	}
	if _, err := p.Pull(t.Context(), "other", engine.By{}, "", true); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// TestWhatCantBeTaken: whatever is wrong with what comes changes nothing, and is an alarm
// for as long as it is so. Nothing secret of a URL is told.
func TestWhatCantBeTaken(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*supplier)
		says   string
	}{
		"a status": {func(s *supplier) { s.status = 500 }, "status 500 instead of 200"},
		"a redirect": {func(s *supplier) {
			s.status, s.header = 302, http.Header{"Location": {"http://127.0.0.1:9/"}}
		}, "status 302"},
		"a bad row":  {func(s *supplier) { s.rows = "a,1,5\nb,1,-1\n" }, "line 3: b: the stock is -1"},
		"too long":   {func(s *supplier) { s.rows = strings.Repeat("a,1,5\n", 1<<18) }, "bytes"},
		"breaks off": {func(s *supplier) { s.header = http.Header{"Content-Length": {"100000"}} }, "broke off"},
		"no end":     {func(s *supplier) { s.until = true }, "can't be told from a whole one"},
		"a packed one": {func(s *supplier) {
			s.header = http.Header{"Content-Type": {"application/zip"}}
			s.rows = "\x00"
		}, "line"},
		"no other place": {func(s *supplier) { s.Close() }, "nothing listens"},
	} {
		t.Run(name, func(t *testing.T) {
			from := newSupplier(t)
			from.rows = "a,1,5\n"
			p := newPulling(t, strings.Replace(from.URL, "http://", "http://acme:pass-word@",
				1)+"/c.csv?token=secret-token")
			p.look()
			c.change(from)
			p.clock = p.clock.Add(time.Hour)
			for range 3 {
				p.look()
				p.clock = p.clock.Add(time.Hour)
			}
			alarms := p.Alarms()
			if len(alarms) != 1 || alarms[0].Name != engine.AlarmCatalogueLacking ||
				!strings.Contains(alarms[0].Detail, c.says) ||
				len(p.office.imports) != 1 || p.metric("_pull_failures_total") != 3 || p.metric("s_lacking") != 1 {
				t.Errorf("%+v, %d taken", alarms, len(p.office.imports))
			}
			if said := p.log.String() + fmt.Sprint(alarms); strings.Contains(said, "secret-token") ||
				strings.Contains(said, "pass-word") {
				t.Errorf("it tells secrets: %s", said)
			}
			p.leads = false
			if p.look(); len(p.Alarms()) != 0 {
				t.Error("it is an alarm on a node that does not lead")
			}
		})
	}
}

// TestOutcomeUnknown: whoever asked is not told that nothing was changed where the commit may
// have been made.
func TestOutcomeUnknown(t *testing.T) {
	s := newSupplier(t)
	s.rows = "a,1,5\n"
	p := newPulling(t, s.URL)
	for _, err := range []error{context.DeadlineExceeded, context.Canceled} {
		p.office.late = fmt.Errorf("commit: %w", err)
		if _, got := p.Pull(t.Context(), "acme", engine.By{}, "", false); !errors.Is(got, engine.ErrOutcomeUnknown) ||
			!errors.Is(got, err) {
			t.Errorf("%v", got)
		}
	}
	s.Close()
	if _, got := p.Pull(t.Context(), "acme", engine.By{}, "", false); got == nil ||
		errors.Is(got, engine.ErrOutcomeUnknown) {
		t.Errorf("nothing came of a supplier that is away, and that is known: %v", got)
	}
}

// TestHangs: a server that says nothing, or drips, is cut off.
func TestHangs(t *testing.T) {
	for name, drip := range map[string]time.Duration{"nothing comes": 0, "it drips": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPulling(t, "http://supplier.test/")
				p.client.Transport = dripping(drip)
				began := time.Now()
				p.look()
				took, alarms := time.Since(began), p.Alarms()
				want, says := partPatience, "nothing came for 1m0s"
				if drip > 0 {
					want, says = wholePatience, "did not come to its end within 15m0s"
				}
				if took != want || len(alarms) != 1 || !strings.Contains(alarms[0].Detail, says) {
					t.Errorf("after %s: %+v", took, alarms)
				}
			})
		})
	}
}

// TestOthersWaitForNobody: suppliers that hang or drip hold up themselves alone, and whoever
// has much to send must send it.
func TestOthersWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulling{t: t, office: &office{}, clock: time.Now(), leads: true}
		var sources []Source
		for _, name := range []string{"hangs", "drips", "drips2", "much", "much2", "much3", "well"} {
			sources = append(sources, Source{Supplier: name, URL: "http://" + name + ".test/", Every: time.Hour,
				MaxBytes: 1 << 20, Reading: catalogue.Config{Currency: "EUR"}})
		}
		var err error
		p.Puller, err = New(Config{Sources: sources, Office: p.office, Leads: func() bool { return true },
			Now: time.Now, Log: slog.New(slog.NewTextHandler(&p.log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		p.client.Transport = each{}
		var all sync.WaitGroup
		for _, s := range p.sources {
			all.Go(func() { p.Puller.look(t.Context(), s) })
			synctest.Wait()
		}
		time.Sleep(time.Second)
		if len(p.office.imports) != 1 || p.office.products["a"].Supplier != "well" {
			t.Errorf("%d taken: %+v", len(p.office.imports), p.office.products)
		}
		time.Sleep(3 * partPatience) // two have a place in memory at once
		much := 0
		for _, a := range p.Alarms() {
			if strings.HasPrefix(a.About, "much") && strings.Contains(a.Detail, "fewer than 262144 bytes came") {
				much++
			}
		}
		if much != 3 {
			t.Errorf("%+v", p.Alarms())
		}
		all.Wait()
	})
}

// each answers for suppliers that are named for what they do.
type each struct{}

func (each) RoundTrip(r *http.Request) (*http.Response, error) {
	switch name := strings.TrimSuffix(r.URL.Hostname(), ".test"); strings.TrimRight(name, "23") {
	case "hangs":
		return dripping(0).RoundTrip(r)
	case "drips":
		return dripping(30 * time.Second).RoundTrip(r)
	case "much":
		a, err := dripping(30 * time.Second).RoundTrip(r)
		if err == nil {
			first := "id,price\n" + strings.Repeat("#\n", 200<<10)
			a.Body = io.NopCloser(io.MultiReader(strings.NewReader(first), a.Body))
		}
		return a, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, ContentLength: -1,
		TransferEncoding: []string{"chunked"}, Body: io.NopCloser(strings.NewReader("id,price,total\na,1,5\n"))}, nil
}

// dripping answers with a catalogue of which a byte comes now and then, or never (0).
type dripping time.Duration

func (d dripping) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Request: r,
		TransferEncoding: []string{"chunked"}, Body: &drops{r.Context(), time.Duration(d)}}, nil
}

type drops struct {
	ctx   context.Context
	every time.Duration
}

func (d *drops) Read(p []byte) (int, error) {
	var next <-chan time.Time
	if d.every > 0 {
		next = time.After(d.every)
	}
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-next:
		return copy(p, "x"), nil
	}
}

func (d *drops) Close() error { return nil }

// TestSignedAndCounted: the request is signed where there is a secret, and what remains was
// counted when the server says that it changed it.
func TestSignedAndCounted(t *testing.T) {
	secrets, err := payment.NewSecrets([][]byte{bytes.Repeat([]byte("k"), payment.MinSecretBytes)})
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Date(2026, 9, 20, 11, 0, 0, 0, time.UTC)
	rows, header := "id,price,remaining\na,1,5\n", ""
	var asked []*http.Request
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		if header != "" {
			w.Header().Set("Last-Modified", header)
		}
		fmt.Fprint(w, rows)
	}))
	defer from.Close()
	p := newPulling(t, from.URL+"/c.csv", func(s *Source) {
		s.Secrets = func() (*payment.Secrets, error) { return secrets, nil }
	})
	if p.look(); len(p.Alarms()) != 1 || !strings.Contains(p.Alarms()[0].Detail, "as_of") {
		t.Errorf("nobody says when it was counted: %+v", p.Alarms())
	}
	header = changed.Format(http.TimeFormat)
	p.clock = p.clock.Add(time.Hour)
	if p.look(); p.office.products["a"].Stock.AsOf != engine.TimeOf(changed) {
		t.Errorf("%+v %+v", p.office.products, p.Alarms())
	}
	checker, err := payment.NewChecker(secrets, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range asked {
		signed := payment.Signed{Method: "GET", Path: "/c.csv", Timestamp: r.Header.Get(payment.HeaderTimestamp),
			Nonce: r.Header.Get(payment.HeaderNonce), Signature: r.Header.Get(payment.HeaderSignature)}
		if err := checker.Check(&signed); err != nil {
			t.Error(err)
		}
	}
}

// TestSourcesThatCantBe: each is refused with what is wrong with it.
func TestSourcesThatCantBe(t *testing.T) {
	good := Source{Supplier: "acme", URL: "https://acme.example/c.csv", Every: time.Hour, MaxBytes: 1}
	for want, change := range map[string]func(*Source){
		"supplier: ":  func(s *Source) { s.Supplier = "a b" },
		"url: ":       func(s *Source) { s.URL = "ftp://acme.example/" },
		"every: 30s":  func(s *Source) { s.Every = 30 * time.Second },
		"max_bytes: ": func(s *Source) { s.MaxBytes = 1 << 40 },
		"currency: ":  func(s *Source) { s.Reading.Currency = "euro" },
		"language: ":  func(s *Source) { s.Reading.Language = "English" },
		"stock: ":     func(s *Source) { s.Reading.Stock = "all" },
		"format: ":    func(s *Source) { s.Reading.Format = "xml" },
	} {
		s := good
		change(&s)
		if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if _, err := New(Config{Sources: []Source{s}}); err == nil {
			t.Errorf("%q is taken", want)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Sources: slices.Repeat([]Source{good}, 2)}); err == nil {
		t.Error("two sources of one supplier are taken")
	}
}
