package goods

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// exported is how many orders go out: more than one command takes, and by far more bytes
// than a connection that nobody reads from takes.
const exported = 1100

// TestExportOverKills: the node is killed while an export is made, and again and again while
// it is written. Whoever goes on has every order once.
func TestExportOverKills(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d, delivery: ship}", exported+5)},
		"admission_multiple: 0"))
	s.MustRun("switches", "set", "rate_limits=0")
	want := sellMany(s)
	s.End("day")
	must(s, "POST", "/admin/v1/sessions/day/review", `{"shared":100000}`)

	status := func() (x wire.Shipping, err error) {
		a, err := s.Request("GET", "http://"+s.Admin+"/admin/v1/sessions/day/shipping", "")
		if err == nil {
			err = json.Unmarshal([]byte(a.Body), &x)
		}
		return x, err
	}
	if x, err := status(); err != nil || x.Passed != exported {
		t.Fatalf("%v: %+v", err, x)
	}
	export := func() (nodetest.Reply, error) {
		return s.Request("POST", "http://"+s.Admin+"/admin/v1/sessions/day/exports", "{}", "Content-Type",
			"application/json", "Idempotency-Key", "once")
	}
	heard := startsWithin(func() { _, _ = export() })
	for over := false; !over; { // until the first of its steps is done, or it is heard
		select {
		case <-heard:
			over = true
		default:
			x, err := status()
			over = err != nil || x.Exported > 0
		}
	}
	killed(s)
	<-heard
	s = s.Reopen()
	half, err := status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("killed when %d of %d were out", half.Exported, exported)
	var x wire.Export
	if a, err := export(); err != nil || a.Status != 200 || json.Unmarshal([]byte(a.Body), &x) != nil || x.Export != 1 {
		t.Fatalf("%v: %d %s", err, a.Status, a.Body)
	}
	if got, err := status(); err != nil || got.Passed != 0 || got.Exported != exported || len(got.Exports) != 1 {
		t.Errorf("%v: %+v", err, got)
	}

	var all strings.Builder
	rows := 0
	for kills := 0; ; kills++ {
		part, whole := readSome(t, s, all.String(), kills < 3)
		all.WriteString(part)
		got := readRows(t, all.String())
		t.Logf("%d rows are here", len(got))
		if s.Exit == nil {
			s = s.Reopen()
		}
		if whole {
			if rows = len(got); kills == 0 {
				t.Error("all of it was sent before the node was killed: this tries nothing")
			}
			break
		}
	}
	got := readRows(t, all.String())
	for _, row := range got {
		if no := row[0]; want[no] != row[5] { // by its phone
			t.Errorf("%s: phone %q, want %q; or it is there twice", no, row[5], want[no])
		} else {
			delete(want, no)
		}
	}
	if len(want) > 0 || rows != exported {
		t.Errorf("%d rows; %d orders are missing", rows, len(want))
	}
	// And the whole of it in one go is the same.
	if again := must(s, "GET", "/admin/v1/sessions/day/exports/1", ""); again.Body != all.String() {
		t.Error("written in one go it is another")
	}
}

// killed ends a node's process at once.
func killed(s *nodetest.Shop) {
	s.T.Helper()
	if err := s.Child.Process.Kill(); err != nil {
		s.T.Fatal(err)
	}
	<-s.Exit
	s.Exit = nil
}

// startsWithin does something on the side, and gives what tells when it is over.
func startsWithin(do func()) (over chan struct{}) {
	over = make(chan struct{})
	go func() {
		defer close(over)
		do()
	}()
	return over
}

// sellMany sells, and gives the phone that each order goes to.
func sellMany(s *nodetest.Shop) (phones map[string]string) {
	s.T.Helper()
	const sellers = 32
	pool := &http.Transport{MaxIdleConnsPerHost: sellers}
	defer pool.CloseIdleConnections()
	s.Through = &http.Client{Timeout: nodetest.Patience, Transport: pool}
	defer func() { s.Through = nil }()
	phones = map[string]string{}
	var mu sync.Mutex
	nodetest.Crowd(sellers, func(seller int) bool {
		for i := seller; i < exported; i += sellers {
			shopper, phone := fmt.Sprint("s-", i), fmt.Sprintf("+86138%08d", i)
			o, err := s.TryGrab(shopper, "k", nodetest.Mask)
			if err == nil && o.Code != "granted" {
				err = fmt.Errorf("%d %s", o.Status, o.Body)
			}
			ask := func(method, url, body string) {
				if err != nil {
					return
				}
				var a nodetest.Reply
				a, err = s.Request(method, s.HTTP+url, body, "X-Shopper-Id", shopper)
				if err == nil && a.Status != 200 {
					err = fmt.Errorf("%s: %d %s", url, a.Status, a.Body)
				}
			}
			ask("PUT", "/v1/orders/"+o.Order.OrderNo+"/receiver", receiverOf(shopper, phone, strings.Repeat("x", 500)))
			ask("POST", "/v1/payments/callback", fmt.Sprintf(`{"order_no":%q,"payment_id":"p-%d","amount":100,`+
				`"currency":"CNY"}`, o.Order.OrderNo, i))
			if err != nil {
				s.T.Error(err)
				return false
			}
			mu.Lock()
			phones[o.Order.OrderNo] = phone
			mu.Unlock()
		}
		return true
	})
	if s.T.Failed() {
		s.T.FailNow()
	}
	return phones
}

// readSome goes on with the export behind what is here of it. If it is to break off, the node
// must not have sent all of it: half is read, through a connection that takes little ahead.
func readSome(t *testing.T, s *nodetest.Shop, here string, breakOff bool) (lines string, whole bool) {
	t.Helper()
	url := "http://" + s.Admin + "/admin/v1/sessions/day/exports/1"
	if here != "" {
		rows := readRows(t, here)
		url += "?after=" + rows[len(rows)-1][0]
	}
	dialer := &net.Dialer{Control: takesLittle}
	small := &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}
	q, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := small.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	var text strings.Builder
	lineIn := bufio.NewReaderSize(a.Body, 4<<10)
	for n := 0; ; n++ {
		line, err := lineIn.ReadString('\n')
		if err == io.EOF && line == "" {
			whole = true
			break
		}
		if err != nil {
			t.Fatalf("%v after %d lines", err, n)
		}
		if n > 0 || here == "" || !strings.HasPrefix(line, "order_no,") { // the header is here once
			text.WriteString(line)
		}
		if breakOff && n == 10 {
			killed(s)
			rest, err := io.ReadAll(lineIn) // what was on its way; and then not the end, or all of it was
			if err == nil {
				text.Write(rest)
				return text.String(), true
			}
			if end := strings.LastIndexByte(string(rest), '\n'); end >= 0 {
				text.Write(rest[:end+1])
			}
			return text.String(), false
		}
	}
	return text.String(), whole
}

// takesLittle has a connection's two ends keep little that nobody has read: by segments that
// are not as large as loopback's the system makes room for them.
func takesLittle(_, _ string, raw syscall.RawConn) (err error) {
	return errors.Join(raw.Control(func(fd uintptr) {
		err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536),
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10))
	}), err)
}

func readRows(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%v: %d rows", err, len(rows))
	}
	return rows[1:]
}
