// Package pull fetches suppliers' catalogues from their URLs, on whichever node leads, each
// at its own pace, and has them take the place of what the supplier had.
//
//   - What is fetched is believed only whole: one that is malformed, too long, too slow or
//     comes with another status changes nothing, and is an alarm until it is better.
//   - A catalogue that leaves fewer than half of a supplier's products is refused until
//     somebody says that it is meant.
//   - An ETag saves fetching what is there already. Once a day the whole is fetched all the
//     same; a server that had the same ETag for something else is not believed any more.
//
// Start reading at Puller.pull.
package pull

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/payment"
)

const (
	operator      = "pull" // in the audit trail
	lookEvery     = 5 * time.Second
	firstWait     = time.Minute // before one is tried again, twice as long each time
	mostWait      = time.Hour
	partPatience  = time.Minute      // for the next part of a catalogue
	wholePatience = 15 * time.Minute // for all of it: what drips is cut off, too
	takePatience  = 10 * time.Minute // for what was fetched to be committed
	fullEvery     = 24 * time.Hour   // without an ETag
	// What is asked for at once, of a thousand suppliers: each question has a connection, and
	// what came first of an answer. One that has sent more takes one of a few places for all
	// of it, and has to go on sending: who hangs, or drips, keeps no other from being asked.
	askedAtOnce  = 64
	inMemory     = 2
	firstBytes   = 256 << 10
	bytesAtLeast = 256 << 10 // within partPatience, from whoever has a place
)

// Bounds of a Source.
const (
	MinEvery     = time.Minute
	MaxEvery     = 7 * 24 * time.Hour
	DefaultEvery = time.Hour
	MaxSources   = 1000
)

// Source is where a supplier's catalogue is to be had, and how it is written.
type Source struct {
	Supplier string
	URL      string
	Every    time.Duration // MinEvery to MaxEvery
	Reading  catalogue.Config
	MaxBytes int64 // 1 to catalogue.MaxBytes
	// Secrets are what fetching is signed with, as requests to the cashier are; they are
	// asked for each time. nil: it is not signed.
	Secrets func() (*payment.Secrets, error)
}

// Validate reports all that is wrong with a source, each behind the key of its setting.
func (s *Source) Validate() error {
	var errs []error
	if !engine.ValidID(s.Supplier) {
		errs = append(errs, fmt.Errorf("supplier: %q is no id of a supplier", s.Supplier))
	}
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("url: %q is no URL such as https://supplier.example/catalogue.csv",
			hidden.URL(s.URL).String()))
	}
	if s.Every < MinEvery || s.Every > MaxEvery {
		errs = append(errs, fmt.Errorf("every: %s is not between %s and %s", s.Every, MinEvery, MaxEvery))
	}
	if s.MaxBytes < 1 || s.MaxBytes > catalogue.MaxBytes {
		errs = append(errs, fmt.Errorf("max_bytes: %d is not between 1 and %d", s.MaxBytes, int64(catalogue.MaxBytes)))
	}
	return errors.Join(append(errs, s.Reading.Validate())...)
}

// Office takes products in. It is met by backoffice.Office.
type Office interface {
	catalogue.Shelf
	catalogue.Importer
	Suppliers() ([]engine.SupplierInfo, error)
}

// Config says what is pulled, and for whom.
type Config struct {
	Sources []Source // of different suppliers, each valid
	Office  Office   // required
	// Leads reports whether this node leads: only then what is due is fetched. Required, and
	// safe for concurrent use, as Now is.
	Leads func() bool
	// Now is the time by which fetches are due. Required.
	Now func() time.Time
	// Every is how often it is looked what is due. Default 5 s.
	Every time.Duration
	// Log hears of failures, and of what is well again. Required.
	Log *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Puller fetches catalogues. Run is for one goroutine; Pull and Alarms are safe for concurrent
// use.
type Puller struct {
	cfg     Config
	client  *http.Client
	sources []*source
	asked   chan struct{} // one for each supplier that is asked
	memory  chan struct{} // one for each catalogue that is held, beyond its first bytes

	failures, lies prometheus.Counter
}

// source is a Source and what came of it on this node.
type source struct {
	Source
	pulling sync.Mutex // held by who fetches it

	mu   sync.Mutex
	due  time.Time
	lack *lack // nil while the last one could be had
	// Of the last catalogue that came: its ETag, its hash, when all of it was fetched, and
	// when it was taken.
	etag        string
	hash        [sha256.Size]byte
	full, taken time.Time
	lied        bool // it had one ETag for two things
}

// lack is a catalogue that could not be had, or was not taken.
type lack struct {
	since time.Time // of the first try
	wait  time.Duration
	why   string
	// shrinks: it waits for somebody to say that it is meant.
	shrinks bool
}

// New gives a Puller that has fetched nothing yet. Errors: Source.Validate's, and a supplier
// with two sources. It registers metrics, so a Registerer takes one Puller.
func New(cfg Config) (*Puller, error) {
	p := &Puller{cfg: cfg, asked: make(chan struct{}, askedAtOnce), memory: make(chan struct{}, inMemory)}
	seen := map[string]bool{}
	for _, s := range cfg.Sources {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("pull the catalogue of %q: %w", s.Supplier, err)
		}
		if seen[s.Supplier] {
			return nil, fmt.Errorf("there are two sources of the supplier %q", s.Supplier)
		}
		seen[s.Supplier] = true
		s.Reading.Supplier = s.Supplier
		p.sources = append(p.sources, &source{Source: s})
	}
	p.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_catalogue_pull_failures_total",
		Help: "Times that a supplier's catalogue could not be fetched, or was not taken."})
	p.lies = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_catalogue_pull_wrong_etags_total",
		Help: "Times that a supplier's server had the same ETag for another catalogue."})
	lacking := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_catalogues_lacking",
		Help: "ALARM (catalogue_lacking) if over 0: suppliers whose catalogue was due and could not be had, or " +
			"was not taken (catalogue_shrinks), on the leader; 0 elsewhere."},
		func() float64 { return float64(len(p.Alarms())) })
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(p.failures, p.lies, lacking)
	}
	// No redirects: what is signed is for that address alone, and another one may be inside.
	p.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			ResponseHeaderTimeout: partPatience, MaxResponseHeaderBytes: 64 << 10},
	}
	return p, nil
}

// Run pulls what is due until ctx ends.
func (p *Puller) Run(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	var running sync.WaitGroup
	defer running.Wait()
	for _, s := range p.sources {
		running.Go(func() {
			tick := time.NewTicker(cmp.Or(p.cfg.Every, lookEvery))
			defer tick.Stop()
			for {
				p.look(ctx, s)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
}

// look pulls a source that is due, if this node leads.
func (p *Puller) look(ctx context.Context, s *source) {
	s.mu.Lock()
	if !p.cfg.Leads() {
		s.lack, s.due = nil, time.Time{} // whoever leads sees to it
		// And may take another one: what this node took last need not be what there is by then.
		s.etag, s.hash, s.full, s.taken = "", [sha256.Size]byte{}, time.Time{}, time.Time{}
		s.mu.Unlock()
		return
	}
	due := !p.cfg.Now().Before(s.due)
	s.mu.Unlock()
	if !due || !s.pulling.TryLock() {
		return
	}
	defer s.pulling.Unlock()
	_, err := p.pull(ctx, s, request{by: engine.By{Operator: operator}})
	if ctx.Err() == nil {
		p.note(s, err)
	}
}

// note keeps what came of a pull, and when the next is due.
func (p *Puller) note(s *source, err error) {
	now := p.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if s.lack != nil {
			p.cfg.Log.Info("a supplier's catalogue can be had again", "supplier", s.Supplier)
		}
		s.lack, s.due = nil, now.Add(s.Every)
		return
	}
	if s.lack == nil {
		s.lack = &lack{since: now}
	}
	l := s.lack
	l.wait = min(max(firstWait, 2*l.wait), mostWait)
	l.why, l.shrinks = engine.PlainNetworkError(err), errors.Is(err, ErrShrinks)
	s.due = now.Add(l.wait)
	p.failures.Inc()
	p.cfg.Log.Warn("a supplier's catalogue could not be had, or was not taken", "supplier", s.Supplier,
		"url", hidden.URL(s.URL), "error", err, "again", s.due.UTC())
}

// Errors of a pull, besides those of fetching and of the office.
var (
	// ErrUnknown: no URL is set for the supplier.
	ErrUnknown = errors.New("no URL is set for this supplier (catalogue.pulls) on this node")
	// ErrPulling: it is being pulled already.
	ErrPulling = errors.New("the supplier's catalogue is being fetched just now")
	// ErrShrinks: fewer than half of the supplier's products would be left.
	ErrShrinks = errors.New("fewer than half of the supplier's products would be left")
)

// Pulled is what came of a pull.
type Pulled struct {
	engine.ProductImported
	Rows int
	Same bool // it is what was taken last; nothing was imported
}

// Pull fetches a supplier's catalogue now, on the node that is asked, whether it leads or
// not, and returns once it is committed. sure: it is meant that few products are left. Errors:
// ErrUnknown, ErrPulling, ErrShrinks, *catalogue.Problems where rows are wrong, what keeps it
// from being fetched, engine.ErrOutcomeUnknown where it may or may not have been taken, and the
// office's.
func (p *Puller) Pull(ctx context.Context, supplier string, by engine.By, note string, sure bool) (Pulled, error) {
	for _, s := range p.sources {
		if s.Supplier != supplier {
			continue
		}
		if !s.pulling.TryLock() {
			return Pulled{}, ErrPulling
		}
		defer s.pulling.Unlock()
		out, err := p.pull(ctx, s, request{by: by, note: note, sure: sure, whole: true})
		if err == nil {
			p.note(s, nil)
		}
		return out, err
	}
	return Pulled{}, ErrUnknown
}

// request is why a catalogue is pulled.
type request struct {
	by    engine.By
	note  string
	sure  bool // it is meant that few products are left
	whole bool // ETags don't matter
}

// pull fetches a catalogue and has it taken. Its caller holds s.pulling.
func (p *Puller) pull(ctx context.Context, s *source, q request) (out Pulled, err error) {
	select {
	case p.asked <- struct{}{}:
		defer func() { <-p.asked }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	now := p.cfg.Now()
	s.mu.Lock()
	etag, hash, full, taken, lied := s.etag, s.hash, s.full, s.taken, s.lied
	s.mu.Unlock()
	whole := q.whole || lied || etag == "" || now.Sub(full) >= fullEvery
	if whole {
		etag = ""
	}
	place := place{in: p.memory}
	defer place.leave()
	f, err := p.fetch(ctx, s, etag, &place)
	if err != nil {
		return out, err
	}
	if f.same {
		return Pulled{Same: true}, nil
	}
	s.mu.Lock()
	if s.etag != "" && f.etag == s.etag && f.hash != s.hash {
		s.lied = true
		p.lies.Inc()
		p.cfg.Log.Warn("a supplier's server has the same ETag for another catalogue, and is not asked by it any more",
			"supplier", s.Supplier, "url", hidden.URL(s.URL), "etag", f.etag)
	}
	s.mu.Unlock()
	out.Rows = f.list.Len()
	if f.hash == hash && now.Sub(taken) < fullEvery && !q.whole {
		out.Same = true
	} else if out.ProductImported, err = p.take(ctx, s, f, q); err != nil {
		return out, err
	} else {
		taken = now
	}
	s.mu.Lock()
	s.etag, s.hash, s.full, s.taken = f.etag, f.hash, now, taken
	s.mu.Unlock()
	return out, nil
}

// take has a catalogue take the place of what the supplier had.
func (p *Puller) take(ctx context.Context, s *source, f *fetched, q request) (out engine.ProductImported, err error) {
	all, err := p.cfg.Office.Suppliers()
	if err != nil {
		return out, err
	}
	for _, x := range all {
		// It is seen before millions of rows are staged for nothing; the state sees it, too.
		if x.ID == s.Supplier && int64(f.list.Len()) < (x.Products+1)/2 && !q.sure {
			return out, fmt.Errorf("%w: it has %d, and the catalogue names %d", ErrShrinks, x.Products, f.list.Len())
		}
	}
	ctx, stop := context.WithTimeout(ctx, takePatience)
	defer stop()
	out, err = f.list.Import(ctx, p.cfg.Office, s.Supplier, engine.ProductImport{Replace: true, Shrinks: q.sure,
		Source: fmt.Sprintf("sha256 %x", f.hash), By: q.by, Note: q.note})
	var refused *engine.Refusal
	switch {
	case errors.As(err, &refused) && refused.Reason == engine.ReasonShrinks:
		return out, fmt.Errorf("%w: the catalogue names %d", ErrShrinks, f.list.Len())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // it may be committed yet
		return out, fmt.Errorf("%w: %w", engine.ErrOutcomeUnknown, err)
	case err != nil:
		return out, err
	}
	p.cfg.Log.Info("a supplier's catalogue pulled", "supplier", s.Supplier, "rows", f.list.Len(), "new", out.New,
		"changed", out.Changed, "gone", out.Gone, "count", out.Count)
	return out, nil
}

// fetched is a catalogue that came.
type fetched struct {
	list *catalogue.List
	etag string
	hash [sha256.Size]byte
	same bool // it is the one of the ETag that was sent; there is no list
}

// place is one of a few.
type place struct {
	in    chan struct{}
	taken bool
}

func (p *place) take(ctx context.Context) error {
	select {
	case p.in <- struct{}{}:
		p.taken = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *place) leave() {
	if p.taken {
		<-p.in
	}
}

// fetch gets a catalogue and reads it, unless it is the one of etag. One that is long takes
// the place in memory, which is its caller's to leave.
func (p *Puller) fetch(ctx context.Context, s *source, etag string, memory *place) (*fetched, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wholePatience,
		fmt.Errorf("it did not come to its end within %s", wholePatience))
	defer cancel()
	ctx, silence := context.WithCancelCause(ctx)
	defer silence(nil)
	response, err := p.ask(ctx, s, etag)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && etag != "":
		return &fetched{same: true}, nil
	case response.StatusCode == http.StatusNotModified:
		return nil, errors.New("status 304, and it was not asked whether anything has changed")
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d instead of 200", response.StatusCode)
	case response.ContentLength > s.MaxBytes:
		return nil, fmt.Errorf("it has %d bytes; it may have %d", response.ContentLength, s.MaxBytes)
	case endless(response):
		return nil, errors.New("it ends where the connection does, so that one that broke off can't be told from a " +
			"whole one: the server must send Content-Length, or Transfer-Encoding: chunked")
	}
	body := &awaited{Reader: response.Body, silent: time.AfterFunc(partPatience, func() {
		silence(fmt.Errorf("nothing came for %s", partPatience))
	})}
	defer func() { body.silent.Stop() }()
	cfg := s.Reading
	if cfg.Format == "" || cfg.Format == catalogue.Auto {
		// Where that does not tell, its beginning does.
		cfg.Format, _ = catalogue.FormatOf(response.Header.Get("Content-Type"))
	}
	lookup := catalogue.NewLookup(p.cfg.Office, s.Supplier)
	cfg.Known, cfg.Now, cfg.AsOf = lookup.Find, engine.TimeOf(p.cfg.Now()), countedAt(response.Header)
	hash := sha256.New()
	bounded := http.MaxBytesReader(nil, io.NopCloser(body), s.MaxBytes)
	first, err := io.ReadAll(io.LimitReader(bounded, firstBytes))
	if err == nil && len(first) == firstBytes {
		body.silent.Stop()
		err = memory.take(ctx)
		body.least, body.silent = bytesAtLeast, time.AfterFunc(partPatience, func() {
			silence(fmt.Errorf("fewer than %d bytes came in %s", bytesAtLeast, partPatience))
		})
	}
	var list *catalogue.List
	if err == nil {
		list, err = catalogue.Read(io.TeeReader(io.MultiReader(bytes.NewReader(first), bounded), hash), cfg)
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("it has over %d bytes", large.Limit)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case lookup.Err != nil:
		return nil, lookup.Err
	case errors.As(err, new(*catalogue.Problems)):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("it broke off: %w", hidden.Cause(err))
	}
	f := &fetched{list: list, etag: response.Header.Get("ETag")}
	copy(f.hash[:], hash.Sum(nil))
	return f, nil
}

// ask sends the request.
func (p *Puller) ask(ctx context.Context, s *source, etag string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, errors.New("the URL is not valid") // the error quotes it
	}
	r.Header.Set("Accept", "text/csv, application/x-ndjson, application/json")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	if s.Secrets != nil {
		secrets, err := s.Secrets()
		if err != nil {
			return nil, err
		}
		secrets.Sign(r, nil, time.Now())
	}
	response, err := p.client.Do(r)
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, hidden.Cause(err)
	}
	return response, nil
}

// countedAt is when what remains was counted, of rows that don't say: when the server last
// changed them. 0 where it does not say so: the time of asking could be later than that of
// counting, and what was sold between would be sold twice.
func countedAt(h http.Header) engine.Time {
	changed, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil || changed.Unix() <= 0 {
		return 0
	}
	return engine.TimeOf(changed)
}

// endless reports whether an answer goes on until its connection ends. What is packed has
// an end of its own, and HTTP/2 tells it.
func endless(a *http.Response) bool {
	return a.ContentLength < 0 && len(a.TransferEncoding) == 0 && !a.Uncompressed && a.ProtoMajor < 2
}

// awaited is a body of which at least so many bytes are waited for until silent goes off.
type awaited struct {
	io.Reader
	silent     *time.Timer
	least, got int
}

func (a *awaited) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if a.got += n; n > 0 && a.got >= a.least {
		a.got = 0
		a.silent.Reset(partPatience)
	}
	return n, err
}

// Alarms are what operators have to see to; none on a node that does not lead.
func (p *Puller) Alarms() (alarms []engine.Alarm) {
	for _, s := range p.sources {
		s.mu.Lock()
		if l := s.lack; l != nil {
			a := engine.Alarm{Name: engine.AlarmCatalogueLacking, About: s.Supplier, Since: l.since,
				Detail: "The catalogue of the supplier " + s.Supplier + " could not be had: " + l.why + ".",
				Advice: "It is asked for again by " + s.due.UTC().Format(time.RFC3339) +
					". What was known of its products " +
					"goes on. Check its url in catalogue.pulls, and the supplier."}
			if l.shrinks {
				a.Name, a.Detail = engine.AlarmCatalogueShrinks, "The catalogue of the supplier "+s.Supplier+
					" was not taken: "+l.why+"."
				a.Advice = "If it is meant, run 'doorbuster products pull " + s.Supplier +
					" --yes'. If not, the supplier " +
					"has to put it right; it is asked for again."
			}
			alarms = append(alarms, a)
		}
		s.mu.Unlock()
	}
	return alarms
}
