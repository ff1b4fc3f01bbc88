package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorbuster/httpapi/openapitest"
)

// patience bounds every wait for something that should happen soon; a loaded
// machine with the race detector is slow, not wrong.
const patience = 30 * time.Second

// shop is a node that serves a data directory, and somebody who uses it through
// its doors. It is the whole program: in this process by run, or as a process.
type shop struct {
	t     *testing.T
	dir   string
	http  string // URL of the shoppers' door
	shown string // URL of the display's door; the shoppers' where it has none
	admin string // host and port of the operators' door
	token string // of an operator, if one is needed
	// through is how requests get there; nil is by loopback.
	through *http.Client

	logs   *logBook
	cancel context.CancelFunc // in process
	child  *exec.Cmd          // as a process
	exit   chan int
}

// serveArgs is how a test serves dir: on ports that the system chooses.
func serveArgs(dir string, more ...string) []string {
	return append([]string{"serve", "--dev", "--data", dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--stall-timeout", patience.String(), "--log-format", "json"}, more...)
}

// openShop serves dir in this process until the test ends.
func openShop(t *testing.T, dir string, more ...string) *shop {
	t.Helper()
	s := runShop(t, serveArgs(dir, more...))
	s.dir = dir
	s.awaitServing()
	return s
}

// runShop starts the program in this process.
func runShop(t *testing.T, args []string) *shop {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &shop{t: t, logs: newLogBook(), cancel: cancel, exit: make(chan int, 1)}
	go func() { s.exit <- run(ctx, args, strings.NewReader(""), io.Discard, s.logs) }()
	t.Cleanup(func() {
		if s.exit != nil {
			s.stop()
		}
	})
	return s
}

// spawnShop serves dir in a process of its own until the test ends.
func spawnShop(t *testing.T, dir string, more ...string) *shop {
	t.Helper()
	s := &shop{t: t, dir: dir, logs: newLogBook()}
	s.start(process(t, serveArgs(dir, more...)...))
	s.awaitServing()
	return s
}

// start runs c, which is the program with its arguments. What it says goes to a
// log book, or to a file.
func (s *shop) start(c *exec.Cmd, log ...*os.File) {
	s.t.Helper()
	s.child, s.exit = c, make(chan int, 1)
	if c.Stderr = s.logs; len(log) > 0 {
		c.Stdout, c.Stderr = log[0], log[0]
	}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	exit := s.exit
	go func() {
		c.Wait() // the status says all
		exit <- c.ProcessState.ExitCode()
		close(exit) // whoever waits when another has read the status does not wait for ever
	}()
	s.t.Cleanup(func() {
		if s.exit != nil && s.child == c {
			c.Process.Kill()
			<-exit
		}
	})
}

// TestProcess is no test: it is the program, when process starts this binary.
func TestProcess(t *testing.T) {
	if os.Getenv("TEST_DOORBUSTER_PROCESS") == "" {
		t.Skip("run as a process by other tests")
	}
	os.Args = append([]string{"doorbuster"}, flag.Args()...)
	main()
}

// process is the program as a command to be started.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, append([]string{"-test.run=^TestProcess$", "--"}, args...)...)
	c.Env = append(os.Environ(), "TEST_DOORBUSTER_PROCESS=1")
	c.Dir = t.TempDir()
	// A test binary that dies must not leave servers behind.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// awaitServing waits until the node sells, and learns where its doors are.
func (s *shop) awaitServing() {
	s.t.Helper()
	line := s.logs.await(s.t, s.exit, `"msg":"serving"`)
	var told struct{ Shoppers, Display, Operators string }
	if err := json.Unmarshal([]byte(line), &told); err != nil {
		s.t.Fatalf("%v: %s", err, line)
	}
	s.http, s.shown, s.admin = told.Shoppers, told.Display, strings.TrimPrefix(told.Operators, "http://")
}

// wait gives the exit status once the node has ended by itself.
func (s *shop) wait() int {
	s.t.Helper()
	select {
	case status := <-s.exit:
		s.exit = nil
		return status
	case <-time.After(patience):
		s.t.Fatalf("the node does not end; it said:\n%s", s.logs)
		return -1
	}
}

// stop ends the node as an operator does, and expects it to end well.
func (s *shop) stop() {
	s.t.Helper()
	if s.child != nil {
		if err := s.child.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Fatal(err)
		}
	} else {
		s.cancel()
	}
	if status := s.wait(); status != 0 {
		s.t.Errorf("exit status %d; it said:\n%s", status, s.logs)
	}
}

// reopen serves the same directory again, in this process.
func (s *shop) reopen(more ...string) *shop {
	s.t.Helper()
	return openShop(s.t, s.dir, more...)
}

// reply is an answer of either API.
type reply struct {
	Status  int
	Header  http.Header
	Body    string
	Code    string
	Message string
	Order   order

	// Of a problem document.
	Type, Title, Detail string
	Problems            []struct {
		Path, Message string
		Line          int
	}
}

type order struct {
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
var poolless = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// request sends one request; header is pairs of names and values.
func (s *shop) request(method, url, body string, header ...string) (reply, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = []string{header[i+1]}
	}
	through := s.through
	if through == nil {
		through = poolless
	}
	response, err := through.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	if err := apiDocument().Check(method, r.URL.EscapedPath(), response.StatusCode, response.Header.Get("Content-Type"), text); err != nil {
		return reply{}, err
	}
	a := reply{Status: response.StatusCode, Header: response.Header, Body: string(text)}
	if kind := response.Header.Get("Content-Type"); strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") {
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
var apiDocument = sync.OnceValue(func() *openapitest.Document {
	text, err := os.ReadFile("../../httpapi/openapi.json")
	if err == nil {
		var d *openapitest.Document
		if d, err = openapitest.Parse(text); err == nil {
			return d
		}
	}
	panic(err)
})

func (s *shop) do(method, url, body string, header ...string) reply {
	s.t.Helper()
	a, err := s.request(method, url, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// grab asks for a listing, "session/sku", as shopper with a key ("" for none).
func (s *shop) grab(shopper, key, listing string) reply {
	s.t.Helper()
	a, err := s.tryGrab(shopper, key, listing)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *shop) tryGrab(shopper, key, listing string) (reply, error) {
	header := []string{"X-Shopper-Id", shopper}
	if key != "" {
		header = append(header, "Idempotency-Key", key)
	}
	return s.request("POST", s.listingURL(listing)+"/grab", "", header...)
}

func (s *shop) listingURL(listing string) string {
	session, sku, _ := strings.Cut(listing, "/")
	return s.http + "/v1/sessions/" + session + "/skus/" + sku
}

// mustGrant grabs and expects an order.
func (s *shop) mustGrant(shopper, key, listing string) order {
	s.t.Helper()
	a := s.grab(shopper, key, listing)
	if a.Status != 200 || a.Code != "granted" || a.Order.OrderNo == "" {
		s.t.Fatalf("%s wanted %s: %d %s", shopper, listing, a.Status, a.Body)
	}
	return a.Order
}

// mustRefuse grabs and expects a code other than granted.
func (s *shop) mustRefuse(code, shopper, key, listing string) reply {
	s.t.Helper()
	a := s.grab(shopper, key, listing)
	if a.Status != 200 || a.Code != code {
		s.t.Fatalf("%s wanted %s: %d %s; not %s", shopper, listing, a.Status, a.Body, code)
	}
	return a
}

func (s *shop) cancelOrder(shopper, orderNo string) reply {
	s.t.Helper()
	return s.do("POST", s.http+"/v1/orders/"+orderNo+"/cancel", "", "X-Shopper-Id", shopper)
}

// order gives an order as its shopper sees it.
func (s *shop) order(shopper, orderNo string) reply {
	s.t.Helper()
	return s.do("GET", s.http+"/v1/orders/"+orderNo, "", "X-Shopper-Id", shopper)
}

// pay is the cashier's word that an order was paid.
func (s *shop) pay(o order, paymentID string) reply {
	s.t.Helper()
	return s.do("POST", s.http+"/v1/payments/callback", fmt.Sprintf(`{"order_no":%q,"payment_id":%q,"amount":%d,"currency":%q}`,
		o.OrderNo, paymentID, o.Amount, o.Currency))
}

// ops asks the operations API; body is JSON, "" for none.
func (s *shop) ops(method, path, body string, header ...string) reply {
	s.t.Helper()
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	if s.token != "" {
		header = append(header, "Authorization", "Bearer "+s.token)
	}
	return s.do(method, "http://"+s.admin+path, body, header...)
}

// counts are a listing's exact figures.
type counts struct {
	Stock, Available, Held, Paid, Shoppers int64
	State                                  string
	LogIndex                               uint64 `json:"log_index"`
}

// counts gives the figures of a listing, which must add up.
func (s *shop) counts(listing string) (c counts) {
	s.t.Helper()
	session, sku, _ := strings.Cut(listing, "/")
	a := s.ops("GET", "/admin/v1/sessions/"+session+"/skus/"+sku, "")
	if err := json.Unmarshal([]byte(a.Body), &c); err != nil || a.Status != 200 {
		s.t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	if c.Stock != c.Available+c.Held+c.Paid || c.Available < 0 || c.Held < 0 || c.Paid < 0 {
		s.t.Errorf("%s does not add up: %+v", listing, c)
	}
	return c
}

// expect waits until a listing's figures are so.
func (s *shop) expect(listing string, available, held, paid int64) {
	s.t.Helper()
	var c counts
	s.eventually(func() bool {
		c = s.counts(listing)
		return c.Available == available && c.Held == held && c.Paid == paid
	}, func() string {
		return fmt.Sprintf("%s is %+v, not available %d, held %d, paid %d", listing, c, available, held, paid)
	})
}

// eventually waits for a condition that nothing else tells of.
func (s *shop) eventually(holds func() bool, else_ func() string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal(else_())
		}
	}
}

// listings counts every listing there is; whoever leaves one out does not see
// what a mistake did to it.
func (s *shop) everyListing() map[string]counts {
	s.t.Helper()
	a := s.ops("GET", "/admin/v1/sessions", "")
	var all struct {
		Sessions []struct {
			ID       string
			Listings []struct{ SKU string }
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &all); err != nil {
		s.t.Fatal(err)
	}
	every := map[string]counts{}
	for _, x := range all.Sessions {
		for _, l := range x.Listings {
			every[x.ID+"/"+l.SKU] = s.counts(x.ID + "/" + l.SKU)
		}
	}
	return every
}

// foundOrder is an order as operators see it.
type foundOrder struct {
	order
	Shopper   string
	PaymentID string `json:"payment_id"`
}

// orders gives every order there is, by number.
func (s *shop) orders() map[string]foundOrder {
	s.t.Helper()
	found := map[string]foundOrder{}
	for cursor := ""; ; {
		a := s.ops("GET", "/admin/v1/orders?limit=1000&cursor="+cursor, "")
		var page struct {
			Orders []foundOrder
			Cursor string
		}
		if err := json.Unmarshal([]byte(a.Body), &page); err != nil || a.Status != 200 {
			s.t.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
		for _, o := range page.Orders {
			found[o.OrderNo] = o
		}
		if cursor = page.Cursor; cursor == "" {
			return found
		}
	}
}

// metric gives the value of a metric's only sample, or of the one with labels.
func (s *shop) metric(name string) string {
	s.t.Helper()
	for _, line := range strings.Split(s.ops("GET", "/metrics", "").Body, "\n") {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return value
		}
	}
	return ""
}

// runTool runs a command of the program to its end.
func runTool(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx := t.Context()
	if len(args) > 0 && args[0] == "serve" { // it should refuse; one that does not is stopped
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	status = run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// apply makes a plan true.
func (s *shop) apply(plan string) string {
	s.t.Helper()
	status, out, errs := runTool(s.t, plan, "apply", "-f", "-", "--admin", s.admin)
	if status != 0 {
		s.t.Fatalf("apply: status %d: %s%s", status, out, errs)
	}
	return out
}

// planOf is the plan of one open session "day" with listings such as
// "{sku: mask, price: 100, stock: 3}"; more are further lines of the session.
func planOf(listings []string, more ...string) string {
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

// masks is the usual plan: one listing "day/mask".
func masks(stock int, more ...string) string {
	return planOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d}", stock)}, more...)
}

const mask = "day/mask"

// logBook keeps what a node says, line by line, and wakes who waits for a line.
type logBook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed with each write
}

func newLogBook() *logBook { return &logBook{wrote: make(chan struct{})} }

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.wrote)
	l.wrote = make(chan struct{})
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find gives the first line that has one of parts in it.
func (l *logBook) find(parts ...string) (line string, next <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.SplitAfter(l.text.String(), "\n") {
		for _, part := range parts {
			if strings.Contains(line, part) && strings.HasSuffix(line, "\n") {
				return line, nil
			}
		}
	}
	return "", l.wrote
}

// await waits for what find finds, unless the node ends before.
func (l *logBook) await(t *testing.T, exit <-chan int, parts ...string) string {
	t.Helper()
	tooLate := time.After(patience)
	for {
		line, next := l.find(parts...)
		if line != "" {
			return line
		}
		select {
		case <-next:
		case status := <-exit:
			t.Fatalf("the node ended with status %d before it said %q:\n%s", status, parts, l)
		case <-tooLate:
			t.Fatalf("the node never said %q:\n%s", parts, l)
		}
	}
}

// crowd has n shoppers do something at once, and gives what they report.
func crowd[T any](n int, do func(i int) T) []T {
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
