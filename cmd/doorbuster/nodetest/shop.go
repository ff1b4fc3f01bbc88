package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"doorbuster/httpapi/openapitest"
)

// Patience bounds every wait for something that should happen soon; a loaded
// machine with the race detector is slow, not wrong.
const Patience = 30 * time.Second

// Program is the whole program but for the process: it gives the exit status. nil is
// the one that is built from the sources.
type Program func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Open serves dir until the test ends, in this process unless p is nil.
func (p Program) Open(t *testing.T, dir string, more ...string) *Shop {
	t.Helper()
	s := p.Start(t, ServeArgs(dir, more...))
	s.Dir = dir
	s.AwaitServing()
	return s
}

// Start begins to serve.
func (p Program) Start(t *testing.T, args []string) *Shop {
	t.Helper()
	s := &Shop{T: t, Program: p, Logs: NewLogBook()}
	if p == nil {
		s.Start(Command(t, args...))
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.Exit = cancel, make(chan int, 1)
	go func() { s.Exit <- p(ctx, args, strings.NewReader(""), io.Discard, s.Logs) }()
	t.Cleanup(func() {
		if s.Exit != nil {
			s.Stop()
		}
	})
	return s
}

// Tool runs a command to its end.
func (p Program) Tool(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx := t.Context()
	if len(args) > 0 && args[0] == "serve" { // it should refuse; one that does not is stopped
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, Patience)
		defer cancel()
	}
	if p == nil {
		p = runBuilt
	}
	var out, errs bytes.Buffer
	status = p(ctx, args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// Shop is a node that serves a data directory, and somebody who uses it through
// its doors.
type Shop struct {
	T     *testing.T
	Dir   string
	HTTP  string // URL of the shoppers' door
	Shown string // URL of the display's door; the shoppers' where it has none
	Admin string // host and port of the operators' door
	Token string // of an operator, if one is needed
	// Through is how requests get there; nil is by loopback.
	Through *http.Client

	Program Program // that serves, and whose commands are used
	Logs    *LogBook
	cancel  context.CancelFunc // in process
	Child   *exec.Cmd          // as a process
	Exit    chan int
}

// ServeArgs is how a test serves dir: on ports that the system chooses.
func ServeArgs(dir string, more ...string) []string {
	return append([]string{"serve", "--dev", "--data", dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--stall-timeout", Patience.String(), "--log-format", "json"}, more...)
}

// Open serves dir in a process of its own until the test ends.
func Open(t *testing.T, dir string, more ...string) *Shop {
	t.Helper()
	return Program(nil).Open(t, dir, more...)
}

// Start runs c, which is the program with its arguments. What it says goes to a
// log book, or to a file.
func (s *Shop) Start(c *exec.Cmd, log ...*os.File) {
	s.T.Helper()
	s.Child, s.Exit = c, make(chan int, 1)
	if c.Stderr = s.Logs; len(log) > 0 {
		c.Stdout, c.Stderr = log[0], log[0]
	}
	if err := c.Start(); err != nil {
		s.T.Fatal(err)
	}
	exit := s.Exit
	go func() {
		c.Wait() // the status says all
		exit <- c.ProcessState.ExitCode()
		close(exit) // whoever waits when another has read the status does not wait for ever
	}()
	s.T.Cleanup(func() {
		if s.Exit != nil && s.Child == c {
			c.Process.Kill()
			<-exit
		}
	})
}

// AwaitServing waits until the node sells, and learns where its doors are.
func (s *Shop) AwaitServing() {
	s.T.Helper()
	line := s.Logs.Await(s.T, s.Exit, `"msg":"serving"`)
	var told struct{ Shoppers, Display, Operators string }
	if err := json.Unmarshal([]byte(line), &told); err != nil {
		s.T.Fatalf("%v: %s", err, line)
	}
	s.HTTP, s.Shown, s.Admin = told.Shoppers, told.Display, strings.TrimPrefix(told.Operators, "http://")
}

// Wait gives the exit status once the node has ended by itself.
func (s *Shop) Wait() int {
	s.T.Helper()
	select {
	case status := <-s.Exit:
		s.Exit = nil
		return status
	case <-time.After(Patience):
		s.T.Fatalf("the node does not end; it said:\n%s", s.Logs)
		return -1
	}
}

// Stop ends the node as an operator does, and expects it to end well.
func (s *Shop) Stop() {
	s.T.Helper()
	if s.Child != nil {
		if err := s.Child.Process.Signal(syscall.SIGTERM); err != nil {
			s.T.Fatal(err)
		}
	} else {
		s.cancel()
	}
	if status := s.Wait(); status != 0 {
		s.T.Errorf("exit status %d; it said:\n%s", status, s.Logs)
	}
}

// Reopen serves the same directory again.
func (s *Shop) Reopen(more ...string) *Shop {
	s.T.Helper()
	return s.Program.Open(s.T, s.Dir, more...)
}

// Reply is an answer of either API.
type Reply struct {
	Status  int
	Header  http.Header
	Body    string
	Code    string
	Message string
	Order   Order

	// Of a problem document.
	Type, Title, Detail string
	Problems            []struct {
		Path, Message string
		Line          int
	}
}

type Order struct {
	OrderNo  string    `json:"order_no"`
	Session  string    `json:"session"`
	SKU      string    `json:"sku"`
	Quantity int       `json:"quantity"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	State    string    `json:"state"`
	PayBy    time.Time `json:"pay_by"`

	TransactionID string `json:"transaction_id"`
}

// A connection for each request: a pool dials some that it then leaves unused,
// and a server that stops gives those a few seconds.
var Client = &http.Client{Timeout: Patience, Transport: &http.Transport{DisableKeepAlives: true}}

// Request sends one request; header is pairs of names and values.
func (s *Shop) Request(method, url, body string, header ...string) (Reply, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = []string{header[i+1]}
	}
	through := s.Through
	if through == nil {
		through = Client
	}
	response, err := through.Do(r)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Reply{}, err
	}
	document, err := apiDocument()
	if err != nil {
		return Reply{}, err
	}
	if err := document.Check(method, r.URL.EscapedPath(), response.StatusCode, response.Header.Get("Content-Type"),
		text); err != nil {
		return Reply{}, err
	}
	a := Reply{Status: response.StatusCode, Header: response.Header, Body: string(text)}
	if kind := response.Header.Get("Content-Type"); strings.Contains(kind, "json") &&
		!strings.Contains(kind, "ndjson") {
		if err = json.Unmarshal(text, &a); err == nil && a.Order.OrderNo == "" {
			err = json.Unmarshal(text, &a.Order) // an order by itself
		}
		a.Status = response.StatusCode
	}
	if err != nil {
		return a, fmt.Errorf("%w: %s", err, text)
	}
	return a, nil
}

// apiDocument is what every answer is held against.
var apiDocument = sync.OnceValues(func() (*openapitest.Document, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "httpapi", "openapi.json"))
	if err != nil {
		return nil, err
	}
	return openapitest.Parse(text)
})

// Root is the folder of the module, which the tests run somewhere in.
func Root() string {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
	return "."
}

func (s *Shop) Do(method, url, body string, header ...string) Reply {
	s.T.Helper()
	a, err := s.Request(method, url, body, header...)
	if err != nil {
		s.T.Fatal(err)
	}
	return a
}

// Grab asks for a listing, "session/sku", as shopper with a key ("" for none).
func (s *Shop) Grab(shopper, key, listing string) Reply {
	s.T.Helper()
	a, err := s.TryGrab(shopper, key, listing)
	if err != nil {
		s.T.Fatal(err)
	}
	return a
}

func (s *Shop) TryGrab(shopper, key, listing string) (Reply, error) {
	header := []string{"X-Shopper-Id", shopper}
	if key != "" {
		header = append(header, "Idempotency-Key", key)
	}
	return s.Request("POST", s.ListingURL(listing)+"/grab", "", header...)
}

func (s *Shop) ListingURL(listing string) string {
	session, sku, _ := strings.Cut(listing, "/")
	return s.HTTP + "/v1/sessions/" + session + "/skus/" + sku
}

// MustGrant grabs and expects an order.
func (s *Shop) MustGrant(shopper, key, listing string) Order {
	s.T.Helper()
	a := s.Grab(shopper, key, listing)
	if a.Status != 200 || a.Code != "granted" || a.Order.OrderNo == "" {
		s.T.Fatalf("%s wanted %s: %d %s", shopper, listing, a.Status, a.Body)
	}
	return a.Order
}

// MustRefuse grabs and expects a code other than granted.
func (s *Shop) MustRefuse(code, shopper, key, listing string) Reply {
	s.T.Helper()
	a := s.Grab(shopper, key, listing)
	if a.Status != 200 || a.Code != code {
		s.T.Fatalf("%s wanted %s: %d %s; not %s", shopper, listing, a.Status, a.Body, code)
	}
	return a
}

func (s *Shop) CancelOrder(shopper, orderNo string) Reply {
	s.T.Helper()
	return s.Do("POST", s.HTTP+"/v1/orders/"+orderNo+"/cancel", "", "X-Shopper-Id", shopper)
}

// Order gives an order as its shopper sees it.
func (s *Shop) Order(shopper, orderNo string) Reply {
	s.T.Helper()
	return s.Do("GET", s.HTTP+"/v1/orders/"+orderNo, "", "X-Shopper-Id", shopper)
}

// Pay is the cashier's word that an order was paid.
func (s *Shop) Pay(o Order, paymentID string) Reply {
	s.T.Helper()
	return s.Do("POST", s.HTTP+"/v1/payments/callback",
		fmt.Sprintf(`{"order_no":%q,"payment_id":%q,"amount":%d,"currency":%q}`,
			o.OrderNo, paymentID, o.Amount, o.Currency))
}

// Ops asks the operations API; body is JSON, "" for none.
func (s *Shop) Ops(method, path, body string, header ...string) Reply {
	s.T.Helper()
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	if s.Token != "" {
		header = append(header, "Authorization", "Bearer "+s.Token)
	}
	return s.Do(method, "http://"+s.Admin+path, body, header...)
}

// Counts are a listing's exact figures.
type Counts struct {
	Stock, Available, Held, Paid, Shoppers int64
	State                                  string
	LogIndex                               uint64 `json:"log_index"`
}

// Counts gives the figures of a listing, which must add up.
func (s *Shop) Counts(listing string) (c Counts) {
	s.T.Helper()
	session, sku, _ := strings.Cut(listing, "/")
	a := s.Ops("GET", "/admin/v1/sessions/"+session+"/skus/"+sku, "")
	if err := json.Unmarshal([]byte(a.Body), &c); err != nil || a.Status != 200 {
		s.T.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	if c.Stock != c.Available+c.Held+c.Paid || c.Available < 0 || c.Held < 0 || c.Paid < 0 {
		s.T.Errorf("%s does not add up: %+v", listing, c)
	}
	return c
}

// Expect waits until a listing's figures are so.
func (s *Shop) Expect(listing string, available, held, paid int64) {
	s.T.Helper()
	var c Counts
	s.Eventually(func() bool {
		c = s.Counts(listing)
		return c.Available == available && c.Held == held && c.Paid == paid
	}, func() string {
		return fmt.Sprintf("%s is %+v, not available %d, held %d, paid %d", listing, c, available, held, paid)
	})
}

// Eventually waits for a condition that nothing else tells of.
func (s *Shop) Eventually(holds func() bool, else_ func() string) {
	s.T.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.T.Fatal(else_())
		}
	}
}

// EveryListing counts every listing there is; whoever leaves one out does not see
// what a mistake did to it.
func (s *Shop) EveryListing() map[string]Counts {
	s.T.Helper()
	a := s.Ops("GET", "/admin/v1/sessions", "")
	var all struct {
		Sessions []struct {
			ID       string
			Listings []struct{ SKU string }
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &all); err != nil {
		s.T.Fatal(err)
	}
	every := map[string]Counts{}
	for _, x := range all.Sessions {
		for _, l := range x.Listings {
			every[x.ID+"/"+l.SKU] = s.Counts(x.ID + "/" + l.SKU)
		}
	}
	return every
}

// FoundOrder is an order as operators see it.
type FoundOrder struct {
	Order
	Shopper   string
	PaymentID string `json:"payment_id"`
}

// Orders gives every order there is, by number.
func (s *Shop) Orders() map[string]FoundOrder {
	s.T.Helper()
	found := map[string]FoundOrder{}
	for cursor := ""; ; {
		a := s.Ops("GET", "/admin/v1/orders?limit=1000&cursor="+cursor, "")
		var page struct {
			Orders []FoundOrder
			Cursor string
		}
		if err := json.Unmarshal([]byte(a.Body), &page); err != nil || a.Status != 200 {
			s.T.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
		for _, o := range page.Orders {
			found[o.OrderNo] = o
		}
		if cursor = page.Cursor; cursor == "" {
			return found
		}
	}
}

// Metric gives the value of a metric's only sample, or of the one with labels.
func (s *Shop) Metric(name string) string {
	s.T.Helper()
	for _, line := range strings.Split(s.Ops("GET", "/metrics", "").Body, "\n") {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return value
		}
	}
	return ""
}

// Start begins to serve in a process of its own.
func Start(t *testing.T, args []string) *Shop {
	t.Helper()
	return Program(nil).Start(t, args)
}

// Tool runs a command of the program to its end.
func Tool(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return Program(nil).Tool(t, stdin, args...)
}

// MustRun runs a command on the node, which must go well, and gives what it prints.
func (s *Shop) MustRun(args ...string) string {
	s.T.Helper()
	status, out, errs := s.Program.Tool(s.T, "", append(args, "--admin", s.Admin)...)
	if status != 0 {
		s.T.Fatalf("%s: status %d: %s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// Apply makes a plan true.
func (s *Shop) Apply(plan string) string {
	s.T.Helper()
	status, out, errs := s.Program.Tool(s.T, plan, "apply", "-f", "-", "--admin", s.Admin)
	if status != 0 {
		s.T.Fatalf("apply: status %d: %s%s", status, out, errs)
	}
	return out
}

// PlanOf is the plan of one open session "day" with listings such as
// "{sku: mask, price: 100, stock: 3}"; more are further lines of the session.
func PlanOf(listings []string, more ...string) string {
	var b strings.Builder
	b.WriteString("products:\n")
	for _, l := range listings {
		sku, _, _ := strings.Cut(strings.TrimPrefix(l, "{sku: "), ",")
		fmt.Fprintf(&b, "  - {id: %s, currency: CNY, list_price: 900}\n", sku)
	}
	b.WriteString("sales:\n  - id: sale\n    sessions:\n      - id: day\n        start: now\n")
	for _, line := range more {
		b.WriteString("        " + line + "\n")
	}
	b.WriteString("        listings:\n")
	for _, l := range listings {
		b.WriteString("          - " + l + "\n")
	}
	return b.String()
}

// Masks is the usual plan: one listing "day/mask".
func Masks(stock int, more ...string) string {
	return PlanOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d}", stock)}, more...)
}

const Mask = "day/mask"

// Crowd has n shoppers do something at once, and gives what they report.
func Crowd[T any](n int, do func(i int) T) []T {
	told := make([]T, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			told[i] = do(i)
		})
	}
	start.Done()
	done.Wait()
	return told
}

// Soon is a plan whose holds end a second after their grant.
func Soon(stock int) string { return Masks(stock, "pay_within: 1s", "pay_grace: 0s") }

var distinct atomic.Int64

// NewKey gives an idempotency key that was not used before.
func NewKey() string { return fmt.Sprintf("key-%d", distinct.Add(1)) }

// StillThere expects everything that shoppers were told.
func (s *Shop) StillThere(told map[string]Order) {
	s.T.Helper()
	orders := s.Orders()
	for shopper, o := range told {
		if found := orders[o.OrderNo]; found.Shopper != shopper || found.Amount != o.Amount ||
			!found.PayBy.Equal(o.PayBy) {
			s.T.Errorf("%s was told of %+v; there is %+v", shopper, o, found)
		}
	}
}
