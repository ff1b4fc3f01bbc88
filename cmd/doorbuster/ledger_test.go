package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trailLine is an event, or a heartbeat, as it is told.
type trailLine struct {
	Index                        uint64
	N                            uint32
	Kind, Reason, Session, State string
	OrderNo                      string `json:"order_no"`
	Shopper, Operator, Note      string
	Heartbeat                    bool
	Missing                      uint64 `json:"missing_from"`
}

// told gives what a node tells of events up to now.
func (m *member) told(from string) (lines []string) {
	m.t.Helper()
	a := m.do("GET", "http://"+m.admin+"/admin/v1/events?follow=false&from="+from, "")
	if a.Status != 200 {
		m.t.Fatalf("%s: %d %s", m.id, a.Status, a.Body)
	}
	for line := range strings.Lines(string(a.Body)) {
		lines = append(lines, line)
	}
	return lines
}

// mustHaveTold compares what a node tells from the beginning.
func (m *member) mustHaveTold(want []string) {
	m.t.Helper()
	got := m.told("0")
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			m.t.Errorf("%s tells %d events, and as the %dth\n%s\ninstead of\n%s", m.id, len(got), i+1, append(got, "nothing")[min(i, len(got))], line)
			return
		}
	}
}

func (m *member) settle(session string) {
	m.t.Helper()
	var a reply
	m.f.eventually(func() bool {
		a = m.do("POST", "http://"+m.admin+"/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`, "Content-Type", "application/json")
		return a.Status == 200
	}, "the session is not settled")
	m.f.eventually(func() bool {
		return strings.Contains(strings.Join(m.told("0"), ""), `"kind":"session_cleared","session":"`+session)
	}, "its orders do not leave memory")
}

// ledgerFiles are all files of a shop's ledger, by what is in them.
func (s *shop) ledgerFiles() (files []string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "ledger", "*", "*"))
	if err != nil || len(files) == 0 {
		s.t.Fatal("no files of a ledger: ", err)
	}
	return files
}

// awaitLedgers waits until the ledgers of all nodes that are up reach as far as the
// leader's state.
func (f *testCluster) awaitLedgers() {
	f.t.Helper()
	f.eventually(func() bool {
		s, ok := f.leader().status()
		if !ok {
			return false
		}
		var most, least uint64 = 0, ^uint64(0)
		for _, n := range s.Nodes {
			most = max(most, n.Applied)
			if n.Reachable {
				least = min(least, n.Ledger)
			}
		}
		return least >= most
	}, "the ledgers don't catch up")
}

// TestSettledOrdersAreFound: when a session's orders have left memory, any node
// finds them as before, also one whose ledger was deleted or damaged while it was
// down, and all tell the same events.
func TestSettledOrdersAreFound(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("        limit_per_shopper: 10\n        pay_grace: 0s\n", 100, 100))
	leader, front := f.leader(), f.follower()
	var paid []order
	for i := range 20 {
		o := front.mustGrant(fmt.Sprint("s", i%10), fmt.Sprint("k", i), fmt.Sprint("day/sku-", 1+i/10))
		if i%2 == 0 {
			if a := front.pay(o, fmt.Sprint("p", i)); a.Status != 200 {
				t.Fatal(a.Body)
			}
		} else if a := front.cancelOrder(fmt.Sprint("s", i%10), o.OrderNo); a.Status != 200 {
			t.Fatal(a.Body)
		}
		paid = append(paid, o)
	}
	if a := leader.do("POST", "http://"+leader.admin+"/admin/v1/sessions/day/settle", `{}`, "Content-Type", "application/json"); a.Status != 409 {
		t.Errorf("while it is open: %d %s", a.Status, a.Body)
	}
	if a := leader.do("POST", "http://"+leader.admin+"/admin/v1/sessions/day/end", `{}`, "Content-Type", "application/json"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	front.settle("day")
	check := func(m *member, when string) {
		t.Helper()
		for i, o := range paid {
			who := fmt.Sprint("s", i%10)
			want := []string{"paid", "cancelled"}[i%2]
			m.f.eventually(func() bool { a := m.order(who, o.OrderNo); return a.Status == 200 && a.Order.State == want }, m.id+" "+when+" does not find order "+o.OrderNo)
			if a := m.do("GET", m.http+"/v1/grabs/"+fmt.Sprint("k", i), "", "X-Shopper-Id", who); a.Code != "granted" || a.Order.OrderNo != o.OrderNo {
				t.Errorf("%s %s by key: %s", m.id, when, a.Body)
			}
		}
		var own struct{ Orders []order }
		a := m.do("GET", m.http+"/v1/orders?limit=3", "", "X-Shopper-Id", "s1")
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || len(own.Orders) != 2 {
			t.Errorf("%s %s: %s", m.id, when, a.Body)
		}
		a = m.do("GET", "http://"+m.admin+"/admin/v1/orders?session=day&state=paid", "")
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || len(own.Orders) != 10 {
			t.Errorf("%s %s: %s", m.id, when, a.Body)
		}
	}
	for _, m := range f.nodes {
		check(m, "after settling")
	}
	f.awaitLedgers()
	want := f.leader().told("0")
	halve := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	}
	for i, damage := range []func(path string) error{os.Remove, halve, flipByte} {
		m := f.others(f.leader())[i%2]
		m.halt()
		for _, file := range m.ledgerFiles() {
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
		}
		m.relaunch()
		check(m, fmt.Sprint("after damage ", i))
	}
	f.awaitLedgers()
	for _, m := range f.nodes {
		m.mustHaveTold(want)
	}
	// Money that comes now goes back, once.
	for range 3 {
		for _, m := range f.nodes {
			if a := m.pay(paid[1], "late"); a.Status != 200 {
				t.Errorf("%s: %d %s", m.id, a.Status, a.Body)
			}
		}
	}
	if a := front.pay(paid[0], "p0"); a.Status != 200 {
		t.Errorf("the payment that was taken, again: %d %s", a.Status, a.Body)
	}
	var late order
	if err := json.Unmarshal([]byte(front.order("s1", paid[1].OrderNo).Body), &late); err != nil || late.TransactionID == "" {
		t.Errorf("%+v: %v", late, err)
	}
	for _, m := range f.nodes {
		if a := m.ops("GET", "/admin/v1/refunds", ""); !strings.Contains(a.Body, `"transaction_id":"`+late.TransactionID+`"`) {
			t.Errorf("%s tells of a refund for transaction %s: %s", m.id, late.TransactionID, a.Body)
		}
	}
	// And what paid for an order of it pays for no other, on any node.
	f.plan(strings.Replace(dayPlan("", 10), "id: day", "id: next", 1))
	next := front.mustGrant("s3", "k-next", "next/sku-1")
	for _, m := range f.nodes {
		if a := m.pay(next, "p0"); a.Status != 409 || !strings.Contains(a.Body, "The payment p0 came for another order before") {
			t.Errorf("%s: a settled order's payment for another: %d %s", m.id, a.Status, a.Body)
		}
	}
	if a := front.order("s3", next.OrderNo); a.Order.State != "held" {
		t.Errorf("%s", a.Body)
	}
	f.awaitLedgers()
	due := 0
	for _, line := range f.follower().told("0") {
		if strings.Contains(line, `"refund_became_due"`) {
			due++
		}
	}
	if due != 1 {
		t.Errorf("%d refunds", due)
	}
	if a := front.ops("POST", "/admin/v1/orders/"+paid[0].OrderNo+"/void", `{"note":"too late"}`); a.Status != 409 || !strings.Contains(a.Body, "its session is settled") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := front.order("s1", paid[1].OrderNo); a.Order.State != "refund_due" {
		t.Errorf("%s", a.Body)
	}
}

// flipByte changes a byte in the middle of the pages in use.
func flipByte(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	b := make([]byte, 64<<10)
	from := int64(8 << 10)
	if info, err := file.Stat(); err != nil || info.Size() == 0 {
		return err
	} else if info.Size() <= from {
		from = info.Size() / 4
	}
	n, err := file.ReadAt(b, from)
	if n == 0 {
		return err
	}
	for i := n / 3; i < n; i++ {
		if b[i] >= 'a' && b[i] <= 'z' { // of a row, not of room that nobody uses
			_, err := file.WriteAt([]byte{b[i] ^ 1}, from+int64(i))
			return err
		}
	}
	_, err = file.WriteAt([]byte{b[n/2] ^ 1}, from+int64(n/2))
	return err
}

// TestReaderOfEvents: one that is cut off and comes again, at any node, is told
// every event once and in order.
func TestReaderOfEvents(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 1000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			f.nodes[i%3].mustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		}
	}()
	var read []string
	at, grants := "0", 0
	for round := 0; grants < 300; round++ {
		m := f.nodes[round%3]
		answer, err := http.Get("http://" + m.admin + "/admin/v1/events?from=" + at)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(answer.Body)
		for n := 0; n < 7+round*11%40 && grants < 300 && in.Scan(); n++ {
			var e trailLine
			if err := json.Unmarshal(in.Bytes(), &e); err != nil {
				t.Fatalf("%q: %v", in.Text(), err)
			}
			if e.Heartbeat {
				continue
			}
			read = append(read, in.Text()+"\n")
			at = fmt.Sprintf("%d.%d", e.Index, e.N+1)
			if e.Kind == "hold_placed" {
				grants++
			}
		}
		answer.Body.Close()
	}
	<-done
	f.awaitLedgers()
	for _, m := range f.nodes {
		m.mustHaveTold(read)
	}
}

// TestEventsTail: the command tells what has happened, in words and as it came.
func TestEventsTail(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 10))
	m := f.follower()
	o := m.mustGrant("ann", "k", "day/sku-1")
	f.awaitLedgers()
	status, out, diagnostics := runProgram(t, "events", "tail", "--admin", m.admin, "--last", "1")
	if status != 0 || !strings.Contains(out, " hold_placed session=day sku=sku-1 order="+o.OrderNo+" state=held shopper=ann") {
		t.Errorf("status %d: %s%s", status, out, diagnostics)
	}
	status, out, diagnostics = runProgram(t, "events", "tail", "--admin", m.admin, "--from", "0", "--session", "day", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); status != 0 || len(lines) < 2 || !strings.HasPrefix(lines[0], `{"index":`) {
		t.Errorf("status %d: %s%s", status, out, diagnostics)
	}
	for _, wrong := range [][]string{{"--from", "x"}, {"--last", "0"}, {"--session", "a/b"}} {
		if status, _, _ := runProgram(t, append([]string{"events", "tail", "--admin", m.admin}, wrong...)...); status != 2 {
			t.Errorf("%v: status %d", wrong, status)
		}
	}
}

// runProgram runs the program in this process.
func runProgram(t *testing.T, args ...string) (status int, out, diagnostics string) {
	t.Helper()
	var o, d strings.Builder
	status = run(t.Context(), args, nil, &o, &d)
	return status, o.String(), d.String()
}

// TestSettledOrdersReachNewcomers: a node that joins after a session was settled,
// and a witness that was there, have its orders and the whole trail.
func TestSettledOrdersReachNewcomers(t *testing.T) {
	f := openFleet(t, "prefer", "a1:a", "b1:b", "c1:c:witness")
	f.plan(dayPlan("", 100))
	front := f.nodes[0]
	var granted []order
	for i := range 60 { // more entries than stay behind a snapshot
		o := front.mustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		if a := front.pay(o, fmt.Sprint("p", i)); a.Status != 200 {
			t.Fatal(a.Body)
		}
		granted = append(granted, o)
	}
	if a := front.ops("POST", "/admin/v1/sessions/day/end", `{}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	front.settle("day")
	f.awaitLedgers()
	want := front.told("0")
	f.nodes[2].mustHaveTold(want)
	// With a snapshot in place of the log the newcomer can have it from nowhere else.
	for _, m := range f.nodes {
		if a := m.ops("POST", "/admin/v1/cluster/snapshot", ""); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}
	late := f.add("a2:a")
	late.launch()
	if a := front.ops("POST", "/admin/v1/cluster/join", fmt.Sprintf(`{"id":"a2","zone":"a","kind":"voter","peer":%q}`, late.ports[2])); a.Status != 200 {
		t.Fatal(a.Body)
	}
	late.awaitUp()
	f.eventually(func() bool { return len(late.told("0")) >= len(want) }, "the newcomer's trail stays short")
	late.mustHaveTold(want)
	for i, o := range granted {
		if a := late.order(fmt.Sprint("s", i), o.OrderNo); a.Status != 200 || a.Order.State != "paid" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}
