package money

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/bench/cashier"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/payment"
)

// till is a cashier outside of a shop: this program as a process.
type till struct {
	t    *testing.T
	dir  string
	addr string
	args []string
	proc *nodetest.Shop // the process
}

// newTill configures a cashier for the doors of a shop.
func newTill(t *testing.T, doors string, more ...string) *till {
	t.Helper()
	l := &till{t: t, dir: t.TempDir(), addr: nodetest.Address(t)}
	l.args = append([]string{"cashier", "--data", l.dir, "--listen", l.addr, "--shop", doors}, more...)
	return l
}

func (l *till) url() string { return "http://" + l.addr }

func (l *till) start() *till {
	l.t.Helper()
	l.proc = &nodetest.Shop{T: l.t, Logs: nodetest.NewLogBook()}
	l.proc.Start(nodetest.Command(l.t, l.args...))
	l.proc.Logs.Await(l.t, l.proc.Exit, "msg=cashier")
	return l
}

// kill ends the process at once.
func (l *till) kill() {
	l.t.Helper()
	if err := l.proc.Child.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	<-l.proc.Exit
	l.proc.Exit = nil
}

// pay brings a token, and gives the status and what was said.
func (l *till) pay(token string) (status int, said string) {
	l.t.Helper()
	a, err := l.proc.Request("POST", l.url()+"/pay", fmt.Sprintf(`{"token":%q}`, token))
	if err != nil {
		l.t.Fatal(err)
	}
	return a.Status, a.Body
}

func (l *till) books() (sum cashier.Totals) {
	l.t.Helper()
	a := l.proc.Do("GET", l.url()+"/books", "")
	if err := json.Unmarshal([]byte(a.Body), &sum); err != nil || a.Status != 200 {
		l.t.Fatalf("%d %s", a.Status, a.Body)
	}
	return sum
}

// payTokenOf is the token of an order, as its shopper is given it.
func payTokenOf(t *testing.T, a nodetest.Reply) string {
	t.Helper()
	var told struct {
		PayToken string `json:"pay_token"`
		Order    struct {
			PayToken string `json:"pay_token"`
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &told); err != nil {
		t.Fatal(err)
	}
	if told.PayToken+told.Order.PayToken == "" {
		t.Fatalf("no token: %s", a.Body)
	}
	return told.PayToken + told.Order.PayToken
}

// cashierFiles are a shared secret and keys of tokens: the flags that name them.
func cashierFiles(t *testing.T) (flags []string, keys *payment.Keys, secrets *payment.Secrets) {
	t.Helper()
	dir := t.TempDir()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", 32))))
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	old, secret := []byte(strings.Repeat("o", 40)), []byte(strings.Repeat("c", 40))
	for name, text := range map[string][]byte{
		"pay.pem": private, "old.key": old,
		"keys.yaml":   []byte("- {id: new, file: pay.pem, signs: true}\n- {id: old, file: old.key}\n"),
		"cashier.key": secret,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ring := []payment.Key{{ID: "new", Text: private, Signs: true}, {ID: "old", Text: old}}
	if keys, err = payment.NewKeys(ring); err != nil {
		t.Fatal(err)
	}
	if secrets, err = payment.NewSecrets([][]byte{secret}); err != nil {
		t.Fatal(err)
	}
	return []string{"--pay-keys", filepath.Join(dir, "keys.yaml"), "--cashier-key-file", filepath.Join(dir,
		"cashier.key")}, keys, secrets
}

// TestPaidThroughTheCashier: a grab's token is money's way to the order, signed on
// both sides, and the transaction goes along to the statement.
func TestPaidThroughTheCashier(t *testing.T) {
	t.Parallel()
	flags, _, _ := cashierFiles(t)
	s := nodetest.Open(t, t.TempDir(), flags...)
	s.Apply(nodetest.Masks(3))
	l := newTill(t, s.HTTP, flags...).start()
	const id = "018f3f2e-6c1a-4b62-9d4e-010203040506"
	granted := s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", "X-Shopper-Id", "ada", "X-Transaction-Id", id)
	token := payTokenOf(t, granted)
	if again := payTokenOf(t, s.Order("ada", granted.Order.OrderNo)); again != token {
		t.Error("the same order has another token")
	}
	if status, said := l.pay(token); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	s.Expect(nodetest.Mask, 2, 0, 1)
	for range 2 {
		if status, said := l.pay(token); status != 409 || !strings.Contains(said, "paid already") {
			t.Errorf("used twice: %d %s", status, said)
		}
	}
	for name, bad := range map[string]string{"garbled": token[:len(token)-8], "of another": "a.b.c"} {
		if status, said := l.pay(bad); status != 422 {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	l.proc.Eventually(func() bool { return l.books().Calls == 0 }, func() string { return "callbacks wait" })
	rows, err := csv.NewReader(strings.NewReader(l.proc.Do("GET", l.url()+"/statement?format=csv", "").Body)).ReadAll()
	if err != nil || len(rows) != 2 || strings.Join(rows[0],
		",") != "payment_id,order_no,amount,currency,kind,at,transaction_id" ||
		rows[1][1] != granted.Order.OrderNo || rows[1][2] != "100" || rows[1][4] != "payment" || rows[1][6] != id {
		t.Errorf("statement %v, %v", rows, err)
	}
	// The shop's own search knows the payment by the same names.
	found := s.Ops("GET", "/admin/v1/orders?order_no="+granted.Order.OrderNo, "")
	if !strings.Contains(found.Body, `"payment_id":"`+rows[1][0]+`"`) || !strings.Contains(found.Body, id) {
		t.Errorf("found %s", found.Body)
	}
}

// TestTokenKeysRotate while the node runs: a new key signs, the old one's tokens
// still do, until it is retired.
func TestTokenKeysRotate(t *testing.T) {
	t.Parallel()
	flags, _, secrets := cashierFiles(t)
	s := nodetest.Open(t, t.TempDir(), flags...)
	s.Apply(nodetest.Masks(3))
	verify := func(token string) string {
		body := fmt.Sprintf(`{"token":%q}`, token)
		r, err := http.NewRequest("POST", s.HTTP+"/v1/payments/verify", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		secrets.Sign(r, []byte(body), time.Now())
		answer, err := nodetest.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	order := s.MustGrant("ada", "", nodetest.Mask)
	first := payTokenOf(t, s.Order("ada", order.OrderNo))
	rewrite := func(list string) {
		if err := os.WriteFile(flags[1], []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("- {id: new, file: pay.pem}\n- {id: old, file: old.key, signs: true}\n")
	s.Eventually(func() bool {
		return payTokenOf(t, s.Order("ada", order.OrderNo)) != first
	}, func() string { return "the new key does not sign" })
	if said := verify(first); !strings.HasPrefix(said, `{"valid":true`) {
		t.Errorf("by the key before: %s", said)
	}
	rewrite("- {id: old, file: old.key}\n") // nobody signs: refused
	s.Logs.Await(t, s.Exit, "new keys can't be used")
	if said := verify(first); !strings.HasPrefix(said, `{"valid":true`) {
		t.Errorf("after a change that can't be: %s", said)
	}
	rewrite("- {id: old, file: old.key, signs: true}\n")
	s.Eventually(func() bool {
		return strings.Contains(verify(first), `"why":"key"`)
	}, func() string { return "a retired key still does: " + verify(first) })
	if said := verify(payTokenOf(t, s.Order("ada", order.OrderNo))); !strings.HasPrefix(said, `{"valid":true`) {
		t.Errorf("by the key that signs: %s", said)
	}
}

// TestClosedBeforeTheGrace: once the cashier takes no more money for it, a hold is
// released at the end of its time to pay; and money whose callback was lost is
// found by the same question.
func TestClosedBeforeTheGrace(t *testing.T) {
	t.Parallel()
	l := newTill(t, "http://127.0.0.1:1", "--drop", "1")
	s := nodetest.Open(t, t.TempDir(), "--cashier-url", l.url())
	l.args[6] = s.HTTP
	l.start()
	s.Apply(nodetest.Masks(2, "pay_within: 3s", "pay_grace: 1h"))
	ada, bob := s.MustGrant("ada", "", nodetest.Mask), s.MustGrant("bob", "", nodetest.Mask)
	if status, said := l.pay(payTokenOf(t, s.Order("bob", bob.OrderNo))); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	s.Expect(nodetest.Mask, 1, 0, 1) // an hour before the grace is over, though no callback came
	if o := s.Order("ada", ada.OrderNo); o.Order.State != "expired" {
		t.Errorf("ada's: %s", o.Body)
	}
	if o := s.Order("bob", bob.OrderNo); o.Order.State != "paid" {
		t.Errorf("bob's: %s", o.Body)
	}
	if sum := l.books(); sum.Closed != 1 || sum.Payments != 1 {
		t.Errorf("%+v", sum)
	}
}

// TestRefundsGetThrough a cashier who takes late money, fails under questions, is
// killed, and a shop that is closed and opened again: each late payment has one
// verdict, and is paid back once.
func TestRefundsGetThrough(t *testing.T) {
	t.Parallel()
	flags, _, _ := cashierFiles(t)
	l := newTill(t, "http://127.0.0.1:1", append(flags, "--late", "1", "--fail", "0.3", "--seed", "3", "--repeat", "1",
		"--delay", "200ms")...)
	s := nodetest.Open(t, t.TempDir(), append(flags, "--cashier-url", "http://127.0.0.1:1")...)
	l.args[6] = s.HTTP
	l.start()
	const n = 8
	s.Apply(nodetest.Masks(n, "pay_within: 1s", "pay_grace: 0s", "limit_per_shopper: 0"))
	var tokens []string
	var orders []nodetest.Order
	for i := range n {
		o := s.MustGrant(fmt.Sprint("ada", i), "", nodetest.Mask)
		orders = append(orders, o)
		tokens = append(tokens, payTokenOf(t, s.Order(fmt.Sprint("ada", i), o.OrderNo)))
	}
	s.Expect(nodetest.Mask, n, 0, 0)
	// Half of the units are taken again: for so many of the late ones there is none.
	s.Apply(nodetest.Masks(n, "pay_within: 10m", "pay_grace: 0s", "limit_per_shopper: 0"))
	for i := range n / 2 {
		s.MustGrant(fmt.Sprint("eve", i), "", nodetest.Mask)
	}
	for i, token := range tokens {
		if status, said := l.pay(token); status != 200 {
			t.Fatalf("late money is not taken: %d %s", status, said)
		}
		if i == 1 {
			l.kill() // with callbacks on their way
			l.start()
		}
	}
	verdicts := func() (paid, back, made int) {
		for i, o := range orders {
			switch s.Order(fmt.Sprint("ada", i), o.OrderNo).Order.State {
			case "paid":
				paid++
			case "refund_due":
				back++
			case "refunded":
				made++
			}
		}
		return paid, back, made
	}
	s.Eventually(func() bool {
		paid, back, made := verdicts()
		return paid+back+made == n
	}, func() string { return "not every payment has a verdict" })
	paid, back, _ := verdicts()
	if paid != n/2 || back != n/2 {
		t.Fatalf("%d paid, %d to go back, before the cashier could be asked", paid, back)
	}
	s.Stop()
	s = s.Reopen(append(flags, "--cashier-url", l.url())...)
	s.Eventually(func() bool { _, _, made := verdicts(); return made == back }, func() string {
		return fmt.Sprintf("not all is paid back; the cashier has %+v; the shop says %s", l.books(), s.Logs)
	})
	if sum := l.books(); sum.Payments != n || sum.Refunds != int64(back) || sum.PaidBack["CNY"] != int64(100*back) ||
		sum.Late != n {
		t.Errorf("%d went back by the shop's books; the cashier's: %+v", back, sum)
	}
}

// TestBadCallbacksOnThreeNodes: forged, stale, wrong, for others, and the same one
// on all nodes at once. Each is named, and nothing is half done.
func TestBadCallbacksOnThreeNodes(t *testing.T) {
	flags, keys, secrets := cashierFiles(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("cashier: {key_file: %q}\npay_keys: %q\n", flags[3], flags[1])
	f.Open()
	f.Plan(nodetest.Masks(4, "limit_per_shopper: 0"))
	node := f.Follower()
	ann, bob, cai := node.MustGrant("ann", "", nodetest.Mask), node.MustGrant("bob", "", nodetest.Mask),
		node.MustGrant("cai", "", nodetest.Mask)
	if a := node.CancelOrder("cai", cai.OrderNo); a.Status != 200 {
		t.Fatal(a.Body)
	}
	callback := func(m *nodetest.Member, by *payment.Secrets, at time.Time, o nodetest.Order, id string,
		more string) nodetest.Reply {
		t.Helper()
		body := fmt.Sprintf(`{"payment_id":%q,"order_no":%q,"amount":%d,"currency":%q%s}`, id, o.OrderNo, o.Amount,
			o.Currency, more)
		r, err := http.NewRequest("POST", m.HTTP+"/v1/payments/callback", nil)
		if err != nil {
			t.Fatal(err)
		}
		if by != nil {
			by.Sign(r, []byte(body), at)
		}
		var header []string
		for name := range r.Header {
			header = append(header, name, r.Header.Get(name))
		}
		a, err := m.Request("POST", r.URL.String(), body, header...)
		if err != nil {
			t.Error(err)
		}
		return a
	}
	other, err := payment.NewSecrets([][]byte{[]byte(strings.Repeat("x", 40))})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	with := func(change func(*nodetest.Order)) nodetest.Order {
		o := ann
		change(&o)
		return o
	}
	bobs := payTokenOf(t, node.Order("bob", bob.OrderNo))
	if _, err := keys.Read(bobs, now); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		a      nodetest.Reply
		status int
		slug   string
	}{
		"unsigned":   {callback(node, nil, now, ann, "p", ""), 401, "unsigned"},
		"by another": {callback(node, other, now, ann, "p", ""), 401, "signature"},
		"old":        {callback(node, secrets, now.Add(-time.Hour), ann, "p", ""), 401, "stale"},
		"too little": {callback(node, secrets, now, with(func(o *nodetest.Order) {
			o.Amount--
		}), "p", ""), 422, "amount"},
		"another currency": {callback(node, secrets, now, with(func(o *nodetest.Order) {
			o.Currency = "EUR"
		}), "p", ""), 422, "currency"},
		"no such order": {callback(node, secrets, now, with(func(o *nodetest.Order) {
			o.OrderNo = "nobody"
		}), "p", ""), 404, "not-found"},
		"a token of another": {callback(node, secrets, now, ann, "p", fmt.Sprintf(`,"token":%q`, bobs)), 422,
			"pay-token"},
		"paid at no time at all": {callback(node, secrets, now, ann, "p", `,"paid_at":"soon"`), 400, "malformed"},
		"paid in the far future": {callback(node, secrets, now, ann, "p", `,"paid_at":"2999-01-01T00:00:00Z"`), 400,
			"malformed"},
		"paid with negative money": {callback(node, secrets, now, with(func(o *nodetest.Order) {
			o.Amount = -100
		}), "p", ""), 400, "malformed"},
	} {
		if c.a.Status != c.status || !strings.HasSuffix(c.a.Type, ":"+c.slug) {
			t.Errorf("%s: %d %s; want %d %s", name, c.a.Status, c.a.Body, c.status, c.slug)
		}
	}
	if o := node.Order("ann", ann.OrderNo); o.Order.State != "held" {
		t.Errorf("something was half done: %s", o.Body)
	}
	// The same one on all nodes, many times at once: one of them counts.
	paid := 0
	for _, a := range nodetest.Crowd(12, func(i int) nodetest.Reply {
		return callback(f.Nodes[i%3], secrets, now, ann,
			"p", "")
	}) {
		switch {
		case a.Status != 200 || a.Order.State != "paid":
			t.Errorf("%d %s", a.Status, a.Body)
		case strings.HasPrefix(a.Body, `{"outcome":"paid"`):
			paid++
		case !strings.HasPrefix(a.Body, `{"outcome":"unchanged"`):
			t.Error(a.Body)
		}
	}
	if paid != 1 {
		t.Errorf("paid %d times", paid)
	}
	if a := callback(node, secrets, now, bob, "p", ""); a.Status != 409 {
		t.Errorf("ann's payment for bob's order: %d %s", a.Status, a.Body)
	}
	for _, m := range f.Nodes {
		want := "unchanged"
		if m == f.Nodes[0] {
			want = "refund_due"
		}
		if a := callback(m, secrets, now, cai, "p-cai", ""); a.Status != 200 ||
			!strings.HasPrefix(a.Body, `{"outcome":"`+want+`"`) || a.Order.State != "refund_due" {
			t.Errorf("a cancelled order: %d %s; not %s", a.Status, a.Body, want)
		}
	}
	if c := f.Settled()[nodetest.Mask]; c.Paid != 1 || c.Held != 1 {
		t.Errorf("%+v", c)
	}
}
