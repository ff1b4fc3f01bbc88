// Package warnings tests that whoever is to hear of what breaks does, by breaking it, on
// nodes that are processes.
package warnings

import (
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// TestNodeThatDies: whoever is on duty is woken again and again, until somebody acknowledges
// it; another leader knows of that, and that it is over.
func TestNodeThatDies(t *testing.T) {
	phone, chat := nodetest.NewEar(t), nodetest.NewEar(t)
	f := nodetest.NewFleet(t, "prefer", "a1:a", "a2:a", "b1:b", "b2:b:edge", "b3:b:edge")
	f.Extra = "warnings:\n  repeat: 1s\n  receivers:\n" + chat.Receiver("chat", "tell") + phone.Receiver("phone",
		"wake")
	f.Open()
	f.Leader()
	f.Node("b2").Kill()
	f.Eventually(func() bool { return strings.HasPrefix(phone.Of("node_unreachable"), "begins; repeats; repeats") },
		"nobody is woken")
	f.Follower().Raised("node_unreachable", "b2")
	if m := phone.Last("node_unreachable"); m.About != "b2" || m.Cluster != "shop" || m.From == "" ||
		!strings.Contains(m.Text, "Node b2 of zone b can't be reached") {
		t.Errorf("%+v", m)
	}
	if said := f.Follower().MustRun("alarms", "ack", "node_unreachable", "--note", "on my way"); !strings.Contains(said,
		"acknowledged by dev at ") {
		t.Error(said)
	}
	acknowledged := func() bool { return strings.HasSuffix(phone.Of("node_unreachable"), "; acknowledged") }
	f.Eventually(acknowledged, "nobody hears who sees to it")
	leader := f.Leader()
	f.Follower().MustRun("cluster", "transfer", "--from", leader.ID)
	f.Eventually(func() bool { return f.Leader() != leader }, "no other node leads")
	leader = f.Leader()
	f.Node("b3").Kill() // nobody has acknowledged this one
	f.Eventually(func() bool { return phone.Last("node_unreachable").About == "b3" }, "nobody hears of another node")
	f.Node("b2").Relaunch()
	for _, ear := range []*nodetest.Ear{chat, phone} {
		f.Eventually(func() bool { return strings.HasSuffix(ear.About("b2"), "; over") }, "it is never over")
	}
	leader.Healed("node_unreachable", "b2")
	if heard := chat.About("b2"); !strings.HasSuffix(heard, "begins; acknowledged; over") {
		t.Errorf("whoever is told heard %s", heard)
	}
	if heard := phone.About("b2"); !strings.HasSuffix(heard, "repeats; acknowledged; over") {
		t.Errorf("another leader woke somebody who had acknowledged it: %s", heard)
	}
	f.Eventually(func() bool {
		return strings.Contains(leader.Ops("GET", "/admin/v1/alarms", "").Body, `"of":[]`)
	}, "what is over stays acknowledged")
}

// TestNoQuorum: where nobody leads any more, a node that is left says so, and that it is over.
func TestNoQuorum(t *testing.T) {
	phone := nodetest.NewEar(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = "warnings:\n  receivers:\n" + phone.Receiver("phone", "wake")
	f.Open()
	others := f.Others(f.Leader())
	left := f.Leader()
	for _, m := range others {
		m.Kill()
	}
	f.Eventually(func() bool { return phone.Of("no_leader") == "begins" && phone.Of("no_quorum") == "begins" },
		"nobody hears that nothing is granted")
	left.Raised("no_leader")
	left.Raised("no_quorum")
	if m := phone.Last("no_leader"); m.From != left.ID {
		t.Errorf("%+v", m)
	}
	for _, m := range others {
		m.Launch()
	}
	f.Eventually(func() bool { return phone.Of("no_leader") == "begins; over" }, "it is never over")
	left.Healed("no_leader")
	left.Healed("no_quorum")
}

// TestFaultsThatShoppersFeel: grabs that nobody decides are an alarm, told by the node that
// can't have them decided.
func TestFaultsThatShoppersFeel(t *testing.T) {
	phone := nodetest.NewEar(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = "grab_timeout: 1s\nwarnings:\n  fault_percent: 50\n  receivers:\n" + phone.Receiver("phone", "wake")
	f.Open()
	f.Plan(nodetest.DayPlan("", 100, 1))
	left := f.Leader()
	left.MustGrant("first", "", "day/sku-2")
	others := f.Others(left)
	for _, m := range others {
		m.Kill()
	}
	for _, a := range nodetest.Crowd(10, func(i int) nodetest.Reply {
		a, err := left.TryGrab(fmt.Sprint("shopper-", i), "", "day/sku-1")
		if err != nil {
			t.Error(err)
		}
		return a
	}) {
		if a.Status != 202 && a.Status < 500 {
			t.Fatalf("decided by whom? %d %s", a.Status, a.Body)
		}
	}
	f.Eventually(func() bool { return phone.Of("faults_felt") == "begins" }, "nobody hears of it")
	left.Raised("faults_felt")
	if m := phone.Last("faults_felt"); m.Node != left.ID {
		t.Errorf("%+v", m)
	}
	for _, m := range others {
		m.Launch()
	}
	f.Leader()
	f.Eventually(func() bool { // most of what is asked is answered again
		_, err := left.TryGrab(nodetest.NewKey(), "", "day/sku-2")
		return err == nil && strings.HasPrefix(phone.Of("faults_felt"), "begins; over")
	}, "it is never over")
	left.Healed("faults_felt")
}

// TestSilencedAlarm: nobody is told of it, and it stays in the list.
func TestSilencedAlarm(t *testing.T) {
	phone := nodetest.NewEar(t)
	s := nodetest.Open(t, t.TempDir(), "--cashier-url", "http://127.0.0.1:1/", "--config",
		nodetest.TempFile(t, "warnings:\n  repeat: 1s\n  receivers:\n"+phone.Receiver("phone", "wake")))
	s.MustRun("alarms", "silence", "cashier_fails", "--for", "1h", "--note", "it is moved")
	s.Apply(nodetest.DayPlan("", 10))
	o := s.MustGrant("ann", "", "day/sku-1")
	s.CancelOrder("ann", o.OrderNo)
	s.Pay(o, "p-1")
	s.Eventually(func() bool {
		return strings.Contains(s.Ops("GET", "/admin/v1/alarms", "").Body, `"severity":"wake"`)
	}, func() string { return "no alarm" })
	if said := s.MustRun("alarms"); !strings.Contains(said, "silenced by dev until ") {
		t.Error(said)
	}
	if heard := phone.Of("cashier_fails"); heard != "" {
		t.Errorf("a silent alarm is told of: %s", heard)
	}
	phone.Deafen(true)
	s.MustRun("alarms", "silence", "cashier_fails", "--for", "0s")
	s.Raised("warnings_fail", "phone")
	phone.Deafen(false)
	s.Healed("warnings_fail")
	s.Eventually(func() bool { return phone.Of("cashier_fails") != "" }, // what repeats takes the beginning's place
		func() string { return "it stays silent" })
	for path, want := range map[string]int{"no_such/acknowledge": 404, "no_quorum/acknowledge": 409,
		"no_quorum/silence": 400} {
		if a := s.Ops("POST", "/admin/v1/alarms/"+path, `{}`); a.Status != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}
