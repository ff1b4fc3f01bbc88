package cluster

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbuster/engine"
)

var (
	update     = flag.Bool("update", false, "write the sample backups anew")
	promotions = flag.Int("promotions", 2, "how often TestPromotionsGiveNewNumbers has a room take over")
)

// propose takes commands through the log of a node that leads.
func propose(t *testing.T, n *Node, commands ...engine.Command) *engine.Effects {
	t.Helper()
	var h engine.BatchHeader
	n.View(func(s *engine.State) {
		h.Epoch, h.Sequence, _ = s.Epoch()
		h.Time = max(s.Now(), engine.TimeOf(time.Now()))
	})
	h.Sequence++
	effects, err := n.Propose(engine.EncodeBatch(h, commands...))()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range effects.Primary {
		if e.Reason != engine.ReasonNone {
			t.Fatal(e)
		}
	}
	return effects
}

// planned is the plan of open sessions that sell a mask each, for 100.
func planned(now engine.Time, sessions ...string) engine.Command {
	p := &engine.Plan{Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "UTC"}}}}
	for _, id := range sessions {
		p.Sales[0].Sessions = append(p.Sales[0].Sessions, engine.SessionPlan{
			SessionSpec: engine.SessionSpec{ID: id, StartSpec: "now", Start: now, End: now.Add(time.Hour),
				PayWithin: time.Minute, Publish: true},
			Listings: []engine.ListingSpec{{SKU: "mask", Price: 100, Stock: 1_000_000}}})
	}
	return engine.Command{Kind: engine.CmdApplyPlan, Plan: p}
}

func grabbed(listing engine.ListingHandle, shopper string) engine.Command {
	return engine.Command{Kind: engine.CmdPlaceHold, Listing: listing, Shopper: []byte(shopper), Key: engine.Key{1},
		Quantity: 1, Deadline: engine.Never}
}

func backedUp(t *testing.T, n *Node, path string, stateOnly bool) {
	t.Helper()
	var b bytes.Buffer
	if err := n.Backup(t.Context(), &b, stateOnly); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeSamples makes the sample backups.
func writeSamples(t *testing.T) {
	n := openAlone(t, quietConfig(t.TempDir()))
	now := engine.TimeOf(time.Now())
	propose(t, n, planned(now, "over", "on"))
	for _, who := range []string{"ann", "bob", "cai"} {
		e := propose(t, n, grabbed(1, who)).Primary[0]
		propose(t, n, engine.Command{Kind: engine.CmdPayOrder, Order: e.Order, PaymentID: "p-" + who,
			Amount: 100, Currency: "CNY"})
	}
	propose(t, n, grabbed(2, "dov"))
	propose(t, n, engine.Command{Kind: engine.CmdSteerSession, Session: 1, Action: engine.SessionEnd})
	propose(t, n, engine.Command{Kind: engine.CmdSettleSession, Session: 1})
	if err := n.Ledger().Await(t.Context(), n.applied.load()); err != nil {
		t.Fatal(err)
	}
	propose(t, n, engine.Command{Kind: engine.CmdClearSession, Session: 1})
	backedUp(t, n, filepath.Join("testdata", "sample-v1-state.backup"), true)
	backedUp(t, n, filepath.Join("testdata", "sample-v1.backup"), false)
}

// TestNoOrderNumberIsGivenOutInTwoLives: a lone node sells, and begins again from
// some backup or older copy of its directory, many times over.
func TestNoOrderNumberIsGivenOutInTwoLives(t *testing.T) {
	const seed = 20_260_920
	lives := 200
	if testing.Short() {
		lives = 40
	}
	random := rand.New(rand.NewPCG(seed, 0))
	told, life := map[string]int{}, 0
	var backups, copies []string
	cfg := quietConfig(filepath.Join(t.TempDir(), "0"))
	for {
		n, err := Open(cfg, nobody{}, anyLeader{})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			propose(t, n, planned(engine.TimeOf(time.Now()), "one", "two"))
		}
		for i := range 1 + random.IntN(6) {
			e := propose(t, n, grabbed(engine.ListingHandle(1+random.IntN(2)),
				fmt.Sprint("s", life, "-", i))).Primary[0]
			n.View(func(s *engine.State) {
				no := s.OrderNo(e.Order)
				if before, twice := told[no]; twice || no == "" {
					t.Fatalf("life %d (seed %d) tells of order %q, as life %d did", life, seed, no, before)
				}
				told[no] = life
			})
			if random.IntN(3) == 0 {
				backups = append(backups, filepath.Join(t.TempDir(), "backup"))
				backedUp(t, n, backups[len(backups)-1], true)
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 || life == 0 {
			copies = append(copies, filepath.Join(t.TempDir(), "copy"))
			if err := os.CopyFS(copies[len(copies)-1], os.DirFS(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
		}
		if life++; life == lives {
			break
		}
		cfg = quietConfig(filepath.Join(t.TempDir(), fmt.Sprint(life)))
		if len(backups) > 0 && random.IntN(2) == 0 {
			if _, err := Restore(cfg, backups[random.IntN(len(backups))]); err != nil {
				t.Fatal(err)
			}
		} else if err := os.CopyFS(cfg.Dir, os.DirFS(copies[random.IntN(len(copies))])); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d numbers in %d lives", len(told), life)
}

// TestPromotionsGiveNewNumbers: rooms that take over from copies of one directory, older
// and newer ones, and from what such a room left, tell of no number that another told of.
func TestPromotionsGiveNewNumbers(t *testing.T) {
	const seed = 20_261_128
	random := rand.New(rand.NewPCG(seed, 0))
	k := openTrio(t, ZoneAckOff)
	leader, b1 := k.leads("a1"), k.seat("b1")
	propose(t, leader.Node, planned(engine.TimeOf(time.Now()), "one", "two"))
	told := map[string]string{}
	sells := func(n *Node, life string) {
		for i := range 1 + random.IntN(6) {
			e := propose(t, n, grabbed(engine.ListingHandle(1+random.IntN(2)), fmt.Sprint(life, "-", i))).Primary[0]
			n.View(func(s *engine.State) {
				no := s.OrderNo(e.Order)
				if before, twice := told[no]; twice || no == "" {
					t.Fatalf("%s (seed %d) tells of order %q, as %s did", life, seed, no, before)
				}
				told[no] = life
			})
		}
	}
	var copies []string
	for i := range 4 {
		sells(leader.Node, fmt.Sprint("cluster", i))
		copies = append(copies, b1.copied(t))
	}
	for _, s := range k.seats {
		s.leave(t)
	}
	for round := range *promotions {
		cfg := b1.cfg
		cfg.Dir = t.TempDir()
		if err := os.CopyFS(cfg.Dir, os.DirFS(copies[random.IntN(len(copies))])); err != nil {
			t.Fatal(err)
		}
		s := openSeat(t, cfg)
		// What took over once leads by itself.
		eventually(t, "it may not take over", func() bool { return s.Leads() || s.PlanPromotion("b").Refusal == "" })
		if !s.Leads() {
			if _, err := s.Promote(t.Context(), "ops", "b", ""); err != nil {
				t.Fatal(err)
			}
			s.leave(t)
			s = openSeat(t, cfg)
		}
		eventually(t, "it does not lead", s.Leads)
		sells(s.Node, fmt.Sprint("promotion", round))
		s.leave(t)
		if random.IntN(3) == 0 {
			copies = append(copies, cfg.Dir)
		}
	}
	t.Logf("%d numbers in %d promotions", len(told), *promotions)
}
