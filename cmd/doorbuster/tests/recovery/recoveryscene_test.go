package recovery

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// scene is a cell while it is tried.
type scene struct {
	t      *testing.T
	damage damage
	fate   fate
	column column
	f      *nodetest.Fleet
	hit    *nodetest.Member // the node whose disk is damaged

	told   map[string]nodetest.FoundOrder // every order that a shopper was told of, by number
	lost   map[string]nodetest.FoundOrder // those of them that a recovery lost
	kept   map[string]bool                // those that must be there whatever happens; nil: all
	sold   int
	copied string    // a copy of a directory
	since  time.Time // the copy is as of before
	backup string
	disk   string // where a small disk is mounted
}

const (
	recoveryStock   = 64
	recoveryListing = "day/sku-1"
)

func newScene(t *testing.T, d damage, c column) *scene {
	s := &scene{t: t, damage: d, fate: d.fate(c), column: c}
	s.told, s.lost = map[string]nodetest.FoundOrder{}, map[string]nodetest.FoundOrder{}
	names := nodetest.Rooms3
	if c.zoneAck == "" {
		names = []string{"n1:a"}
	}
	s.f = nodetest.NewFleet(t, c.zoneAck, names...)
	s.f.Extra = "rate_limit: {write: {per_second: 0}}\n" // one shopper's writes fill the disk
	s.f.Alone = c.zoneAck == ""
	s.hit = s.f.Nodes[len(names)-1] // alone in its room
	if d.leads {
		s.hit = s.f.Nodes[0]
	}
	return s
}

func (s *scene) verdict(t *testing.T) string {
	switch {
	case t.Skipped():
		return "not tried"
	case t.Failed():
		return "FAILS"
	}
	return s.fate.short
}

// play sells, does the damage, and judges what the node makes of it.
func (s *scene) play(kill bool) {
	s.openFleet()
	s.sell(12)
	if s.damage.while != nil {
		s.damage.while(s)
	}
	if s.fate.loses {
		s.takeBackup()
	}
	if s.column.second {
		s.f.Node("a2").Kill()
	}
	s.sell(9)
	if s.damage.disk != ledgerDisk {
		s.f.AwaitLedgers() // as they are witnesses
	}
	if s.damage.last != nil {
		s.damage.last(s)
	}
	s.end(kill)
	if s.damage.after != nil {
		s.damage.after(s)
	}
	s.begin()
	if s.fate.follow != nil {
		s.fate.follow(s)
	}
	s.judge()
	if s.damage.disk == ledgerDisk {
		s.freeDisk()
		s.f.AwaitLedgers()
	}
}

// openFleet starts the nodes, with a leader in the first room and a session that
// is open.
func (s *scene) openFleet() {
	if s.damage.backed {
		for _, m := range s.f.Nodes {
			s.tool("restore", "--from", soldBackup(s.t), "--dev", "--config", m.Config())
		}
	}
	if s.damage.disk == wholeDisk {
		s.mount()
	}
	for _, m := range s.f.Nodes {
		if m != s.hit || s.damage.disk != ledgerDisk {
			m.Launch()
		}
	}
	if s.damage.disk == ledgerDisk {
		s.mount()
		s.hit.Launch()
	}
	for _, m := range s.f.Nodes {
		m.AwaitUp()
	}
	first := s.f.Nodes[0]
	s.f.Eventually(func() bool {
		leader := s.f.Leader()
		if leader != first {
			nodetest.Tool(s.t, "", "cluster", "transfer", "--to", first.ID, "--admin", leader.Admin)
		}
		return leader == first
	}, first.ID+" does not come to lead")
	if !s.damage.backed {
		first.Apply(recoveryPlan)
	}
	orders := first.Orders()
	s.sold = len(orders)
	s.take(orders)
}

var recoveryPlan = nodetest.DayPlan("        pay_within: 1h\n", recoveryStock)

// sold is the backup of a node that has sold a little.
var sold struct {
	once sync.Once
	text []byte
}

// soldBackup writes it to a file.
func soldBackup(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "sold.backup")
	sold.once.Do(func() {
		s := newScene(t, damage{}, recoveryColumns[0])
		s.openFleet()
		s.sell(6)
		s.tool("backup", "--out", file, "--admin", s.hit.Admin)
		s.hit.Halt()
		var err error
		if sold.text, err = os.ReadFile(file); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(file, sold.text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// tool runs a command of the program, which must succeed.
func (s *scene) tool(args ...string) {
	s.t.Helper()
	if status, out, errs := nodetest.Tool(s.t, "", args...); status != 0 {
		s.t.Fatalf("%v: status %d: %s%s", args, status, out, errs)
	}
}

// take notes orders that somebody was told of.
func (s *scene) take(orders map[string]nodetest.FoundOrder) {
	s.t.Helper()
	for number, o := range orders {
		for _, given := range []map[string]nodetest.FoundOrder{s.told, s.lost} {
			if was, twice := given[number]; twice {
				s.t.Errorf("order number %s was given to %s and to %s", number, was.Shopper, o.Shopper)
			}
		}
		s.told[number] = o
	}
}

// sell has n more shoppers take a unit each, through the nodes in turn. Some pay,
// some cancel.
func (s *scene) sell(n int) {
	s.t.Helper()
	for range n {
		s.sellOne(s.serving()[s.sold%len(s.serving())])
	}
}

func (s *scene) serving() (up []*nodetest.Member) { return s.f.Others(nil) }

func (s *scene) sellOne(m *nodetest.Member) {
	s.t.Helper()
	who := s.newShopper()
	o := nodetest.FoundOrder{Order: m.EventuallyGrants(who, recoveryListing), Shopper: who}
	switch s.sold % 4 {
	case 1:
		if a := m.Pay(o.Order, "pay-"+o.OrderNo); a.Status != 200 || a.Order.State != "paid" {
			s.t.Fatalf("pay: %d %s", a.Status, a.Body)
		}
		o.State = "paid"
	case 2:
		if a := m.CancelOrder(who, o.OrderNo); a.Status != 200 {
			s.t.Fatalf("cancel: %d %s", a.Status, a.Body)
		}
		o.State = "cancelled"
	}
	s.take(map[string]nodetest.FoundOrder{o.OrderNo: o})
}

func (s *scene) newShopper() string {
	s.sold++
	return fmt.Sprint("s", s.sold)
}

func (s *scene) snapshot() {
	for _, m := range s.serving() {
		s.tool("cluster", "snapshot", "--admin", m.Admin)
	}
}

// keepsUpToNow: what is told from now on may be lost.
func (s *scene) keepsUpToNow() {
	if s.kept != nil || !s.fate.loses {
		return
	}
	s.kept = map[string]bool{}
	for number := range s.told {
		s.kept[number] = true
	}
}

func (s *scene) takeBackup() {
	s.backup = filepath.Join(s.t.TempDir(), "shop.backup")
	s.tool("backup", "--out", s.backup, "--admin", s.f.Nodes[0].Admin)
	s.keepsUpToNow()
}

func (s *scene) end(kill bool) {
	switch {
	case kill:
		s.hit.Kill()
	case s.damage.leads:
		s.writeUntilItEnds()
	default:
		s.hit.Halt()
	}
}

// writeUntilItEnds has large entries written until the node ends by itself.
func (s *scene) writeUntilItEnds() {
	s.t.Helper()
	texts := [2]string{} // in turn: what changes nothing is not written
	for i := range texts {
		texts[i] = fmt.Sprintf(`{"name":"x","phone":"1","street":%q}`, strings.Repeat(string("xy"[i]), 512))
	}
	var held nodetest.FoundOrder
	for _, o := range s.told {
		if o.State == "held" {
			held = o
		}
	}
	exit := s.hit.Exit
	if ended := nodetest.Crowd(8, func(int) bool {
		for deadline, n := time.Now().Add(nodetest.Patience), 0; time.Now().Before(deadline); n++ {
			for _, m := range s.serving() {
				if len(exit) > 0 {
					return true
				}
				m.Request("PUT", m.HTTP+"/v1/orders/"+held.OrderNo+"/receiver", texts[n%2], "X-Shopper-Id",
					held.Shopper)
			}
		}
		return false
	}); slices.Contains(ended, false) {
		s.t.Fatalf("%s goes on:\n%s", s.hit.ID, s.hit.Logs)
	}
	s.hit.Wait()
	s.hit.Up = false
}

// begin starts the node again, which must serve or say what is expected of it.
func (s *scene) begin() {
	s.t.Helper()
	s.hit.Launch()
	exit, ended := s.hit.Exit, false
	for tooLate := time.After(nodetest.Patience); ; {
		_, next := s.hit.Logs.Find("\x00")
		said := s.hit.Logs.String()
		serves := strings.Contains(said, `"msg":"serving"`)
		heard := s.fate.says == nil || s.fate.says.MatchString(said)
		switch {
		case heard && s.fate.follow == nil && serves:
			return
		case heard && s.fate.follow != nil:
			if s.hit.Up && !ended { // it may end by itself just now
				s.hit.Child.Process.Kill()
				s.hit.Wait()
			}
			s.hit.Up = false
			s.t.Logf("it says: %s", s.sentence())
			return
		case serves && s.fate.provoke != nil && s.hit.Up:
			s.fate.provoke(s)
			continue
		case serves, ended:
			s.t.Fatalf("served: %t, ended: %t, said %v: %t\n%s", serves, ended, s.fate.says, heard, said)
		}
		select {
		case <-next:
		case <-exit:
			ended = true
		case <-tooLate:
			s.t.Fatalf("it neither serves nor says %v:\n%s", s.fate.says, s.hit.Logs)
		}
	}
}

// sentence is the line that a node says it in.
func (s *scene) sentence() string {
	for line := range strings.Lines(s.hit.Logs.String()) {
		if s.fate.says.MatchString(line) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// restore begins a new directory with the backup.
func (s *scene) restore() {
	s.hit.Dir += "-new"
	s.tool("restore", "--from", s.backup, "--dev", "--config", s.hit.Config())
	s.hit.Relaunch()
}

// rejoin has a new node take the damaged one's place, once there is a quorum. It
// comes before the other goes: with zone ack require a room keeps its last voter.
func (s *scene) rejoin() {
	if s.column.second {
		s.f.Node("a2").Launch()
	}
	leader := s.f.Leader()
	b2 := s.f.Add("b2:b")
	b2.Launch()
	s.eventually("join", "--id", b2.ID, "--zone", b2.Zone, "--peer", b2.Ports[2], "--admin", leader.Admin)
	s.f.Eventually(func() bool {
		st, ok := b2.Status()
		return ok && slices.ContainsFunc(st.Nodes, func(n nodetest.ClusterStatusNode) bool {
			return n.ID == b2.ID && n.Role == "follower" && !n.Joining
		})
	}, "the new node does not become a voter")
	s.eventually("remove", "--node", s.hit.ID, "--admin", leader.Admin)
	for _, m := range s.serving() {
		m.AwaitUp()
	}
}

// eventually has a cluster command done, which may be refused until the nodes know
// of each other.
func (s *scene) eventually(args ...string) {
	s.t.Helper()
	var said string
	for deadline := time.Now().Add(nodetest.Patience); ; time.Sleep(50 * time.Millisecond) {
		status, out, errs := nodetest.Tool(s.t, "", append([]string{"cluster"}, args...)...)
		if said = out + errs; status == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("cluster %v: %s", args, said)
		}
	}
}

func (s *scene) putOwn() {
	s.replaceDir(s.copied)
	s.hit.Relaunch()
}

func (s *scene) goOnWithSpace() {
	s.freeDisk()
	s.hit.Relaunch()
}

func (s *scene) makeWritable() {
	s.remount(0)
	s.hit.Relaunch()
}

// judge looks for what was told, on every node that serves, and sells what is left.
func (s *scene) judge() {
	s.t.Helper()
	s.lookOver()
	s.forgetLost()
	if s.fate.loses {
		if len(s.lost) == 0 {
			s.t.Error("nothing was lost, so nothing was tried")
		}
		s.checkAsOf()
	}
	s.sellOut()
	s.payLost()
	s.lookOver()
	s.payOne()
	s.lookOver()
}

// checkAsOf: the node says of what time its state is, which is not after a copy was
// taken.
func (s *scene) checkAsOf() {
	said := asOf.FindStringSubmatch(s.hit.Logs.String())
	if said == nil {
		s.t.Fatalf("it says nothing of its state:\n%s", s.hit.Logs)
	}
	at, err := time.Parse(time.RFC3339, said[2])
	if err != nil || !s.since.IsZero() && at.After(s.since) || time.Since(at) > time.Hour {
		s.t.Errorf("%v: the copy is of %s, and its node says %q", err, s.since, said[0])
	}
	_, out, errs := nodetest.Tool(s.t, "", "cluster", "status", "--admin", s.hit.Admin)
	if !strings.Contains(out, "as of log index "+said[1]+",") {
		s.t.Errorf("cluster status does not say %q: %s%s", said[0], out, errs)
	}
}

// lookOver holds what the nodes have against what was told.
func (s *scene) lookOver() {
	s.t.Helper()
	s.f.Settled()
	for _, m := range s.serving() {
		found := m.Orders()
		for number, o := range s.told {
			is, there := found[number]
			if s.kept != nil && !s.kept[number] { // as it was at some time before
				if !there {
					continue
				}
				o.State = is.State
				s.told[number] = o
			}
			if !there || is.Shopper != o.Shopper || is.State != o.State || is.Amount != o.Amount {
				s.t.Errorf("%s was told of order %s, %s; %s has %+v", o.Shopper, number, o.State, m.ID, is)
			}
		}
		var held, paid int64
		for number, o := range found {
			if s.told[number].OrderNo == "" {
				s.t.Errorf("%s has order %s of %s, who was not told", m.ID, number, o.Shopper)
			}
			switch o.State {
			case "held":
				held++
			case "paid":
				paid++
			}
		}
		if c := m.Counts(recoveryListing); c.Held != held || c.Paid != paid || c.Stock != recoveryStock {
			s.t.Errorf("%s counts %+v; its orders are %d held, %d paid", m.ID, c, held, paid)
		}
	}
}

// soothing is what no node may say that has lost an order.
var soothing = regexp.MustCompile(`(?i)nothing (acknowledged )?is lost|never acknowledged|not acknowledged`)

// forgetLost: what may be lost, and is, is expected of nobody any more.
func (s *scene) forgetLost() {
	found := s.serving()[0].Orders()
	for number, o := range s.told {
		if _, there := found[number]; !there {
			s.lost[number] = o
			delete(s.told, number)
		}
	}
	s.kept = nil
	if said := soothing.FindString(s.hit.Logs.String()); said != "" && len(s.lost) > 0 {
		s.t.Errorf("%d orders are lost, and %s says %q:\n%s", len(s.lost), s.hit.ID, said, s.hit.Logs)
	}
}

// sellOut sells until nothing is left, through every node.
func (s *scene) sellOut() {
	s.t.Helper()
	for _, m := range s.serving() {
		s.sellOne(m)
	}
	for range 2 * recoveryStock {
		nodes := s.serving()
		m, who := nodes[s.sold%len(nodes)], s.newShopper()
		var a nodetest.Reply
		s.f.Eventually(func() bool {
			a = m.Grab(who, "k", recoveryListing)
			return a.Code != "processing"
		}, who+" is told nothing")
		if a.Code == "sold_out" {
			if c := m.Counts(recoveryListing); c.Available != 0 {
				s.t.Errorf("sold out: %+v", c)
			}
			return
		}
		if a.Code != "granted" {
			s.t.Fatalf("%s: %d %s", m.ID, a.Status, a.Body)
		}
		s.take(map[string]nodetest.FoundOrder{a.Order.OrderNo: {Order: a.Order, Shopper: who}})
	}
	s.t.Error("it never sells out")
}

// payLost pays for orders that are not known any more: it is money to go back, and
// nobody else's order is paid.
func (s *scene) payLost() {
	s.t.Helper()
	m := s.serving()[0]
	before := m.Orders()
	for number, o := range s.lost {
		if a := m.Pay(o.Order, "late-"+number); a.Status != 200 || a.Order.State == "paid" {
			s.t.Errorf("%s, who is unknown, pays: %d %s", o.Shopper, a.Status, a.Body)
		}
	}
	refunds := m.Ops("GET", "/admin/v1/refunds", "").Body
	for number := range s.lost {
		if !strings.Contains(refunds, `"late-`+number+`"`) {
			s.t.Errorf("the money for %s is not to go back: %s", number, refunds)
		}
	}
	after := m.Orders()
	if !maps.EqualFunc(before, after, func(a, b nodetest.FoundOrder) bool {
		return a.State == b.State && a.PaymentID == b.PaymentID
	}) {
		s.t.Error("money for lost orders changed others")
	}
}

// payOne pays for an order that is held.
func (s *scene) payOne() {
	s.t.Helper()
	m := s.serving()[0]
	for number, o := range m.Orders() {
		if o.State != "held" {
			continue
		}
		if a := m.Pay(o.Order, "pay-"+number); a.Status != 200 || a.Order.State != "paid" {
			s.t.Errorf("pay: %d %s", a.Status, a.Body)
		}
		paid := s.told[number]
		paid.State = "paid"
		s.told[number] = paid
		return
	}
	s.t.Error("nobody holds anything")
}
