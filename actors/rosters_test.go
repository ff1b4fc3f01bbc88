package actors_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"testing"
	"time"

	"doorbuster/engine"
)

// rowsOf makes so many rows of shoppers.
func rowsOf(n int, level engine.Level) iter.Seq[engine.RosterEntry] {
	return func(yield func(engine.RosterEntry) bool) {
		for i := range n {
			if !yield(engine.RosterEntry{ID: fmt.Appendf(nil, "shopper-%d", i), Level: level}) {
				return
			}
		}
	}
}

// bring imports rows as an operator does.
func (s *testShop) bring(
	name engine.RosterName, replace bool, n int, rows iter.Seq[engine.RosterEntry],
) (int64, error) {
	out, err := s.ImportRoster(s.t.Context(), name, engine.RosterImport{Replace: replace, Count: n, Rows: rows,
		By: engine.By{Operator: "olga"}})
	return out.Count, err
}

// What one entry of an import, and one look into a list, take.
const (
	importRows = 2048
	scanRows   = 4096
)

var riskyShoppers = engine.RosterName{Kind: engine.RosterRiskShopper}

func TestRostersByHand(t *testing.T) {
	s := openShop(t, nil)
	const many = importRows*2 + 7
	if n, err := s.bring(riskyShoppers, true, many, rowsOf(many, engine.LevelBlock)); n != many || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if level := s.Risk(&engine.Visitor{Shopper: []byte("shopper-9")}); level != engine.LevelBlock {
		t.Errorf("the door hears %s", level)
	}
	if n, err := s.bring(riskyShoppers, false, 2, slices.Values([]engine.RosterEntry{{ID: []byte("shopper-9")},
		{ID: []byte("new"), Level: engine.LevelListed}})); n != many || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if row, found, err := s.RosterRow(riskyShoppers, "shopper-9"); found || err != nil {
		t.Errorf("taken off, and there: %+v, %v", row, err)
	}
	if row, found, err := s.RosterRow(riskyShoppers, "new"); !found || row.Level != engine.LevelListed || err != nil {
		t.Errorf("%+v, %t, %v", row, found, err)
	}
	seen := map[string]bool{}
	if err := s.ExportRoster(riskyShoppers, func(rows []engine.RosterRow) error {
		for _, row := range rows {
			seen[row.ID] = true
		}
		return nil
	}); err != nil || len(seen) != many || seen["shopper-9"] {
		t.Errorf("exported %d of %d, %v", len(seen), many, err)
	}
	if n, err := s.bring(riskyShoppers, true, 0, rowsOf(0, 0)); n != 0 || err != nil {
		t.Errorf("emptied: %d, %v", n, err)
	}
	if level := s.Risk(&engine.Visitor{Shopper: []byte("shopper-1")}); level != engine.LevelNone {
		t.Errorf("after that the door hears %s", level)
	}
	infos, err := s.Rosters()
	if err != nil || len(infos) != 4 {
		t.Errorf("%+v, %v", infos, err)
	}
}

func TestAddressesOnTheRiskList(t *testing.T) {
	s := openShop(t, nil)
	ips := engine.RosterName{Kind: engine.RosterRiskIP}
	if _, err := s.bring(ips, true, 3, slices.Values([]engine.RosterEntry{{ID: []byte("203.0.113.0/24"),
		Level: engine.LevelChallenge},
		{ID: []byte("203.0.113.7/32"), Level: engine.LevelBlock},
		{ID: []byte("2001:db8::/32"), Level: engine.LevelListed}})); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]engine.Level{"203.0.113.7": engine.LevelBlock,
		"203.0.113.8": engine.LevelChallenge, "::ffff:203.0.113.8": engine.LevelChallenge,
		"203.0.114.7": engine.LevelNone, "2001:db8:1::1": engine.LevelListed, "2001:db9::1": engine.LevelNone} {
		if got := s.Risk(&engine.Visitor{Shopper: []byte("ann"), Addr: netip.MustParseAddr(addr)}); got != want {
			t.Errorf("%s: %s, not %s", addr, got, want)
		}
	}
	if row, found, err := s.RosterRow(ips, "203.0.113.8/32"); !found || row.ID != "203.0.113.0/24" || err != nil {
		t.Errorf("what says something of an address that is not listed: %+v, %t, %v", row, found, err)
	}
	if _, err := s.bring(ips, false, 1,
		slices.Values([]engine.RosterEntry{{ID: []byte("203.0.113.7/32")}})); err != nil {
		t.Fatal(err)
	}
	if got := s.Risk(&engine.Visitor{Shopper: []byte("ann"),
		Addr: netip.MustParseAddr("203.0.113.7")}); got != engine.LevelChallenge {
		t.Errorf("taken off, the prefix around it says %s", got)
	}
}

// TestImportCountsWhatChanged: an import whose last step changes nothing is done once
// for its key all the same, as an earlier step did.
func TestImportCountsWhatChanged(t *testing.T) {
	s := openShop(t, nil)
	const last = importRows + 1 // alone in the second step
	if _, err := s.bring(riskyShoppers, false, 1, rowsOf(1, engine.LevelBlock)); err != nil {
		t.Fatal(err)
	}
	rows := slices.Collect(rowsOf(last, engine.LevelBlock))
	slices.Reverse(rows)
	in := engine.RosterImport{Count: last, Rows: slices.Values(rows),
		By: engine.By{Operator: "olga", Key: "k", Request: engine.Key{1}}}
	want := engine.RosterImported{Count: last, Changed: importRows}
	if out, err := s.ImportRoster(t.Context(), riskyShoppers, in); out != want || err != nil {
		t.Fatalf("%+v, %v; want %+v", out, err, want)
	}
	if out, err := s.ImportRoster(t.Context(), riskyShoppers,
		engine.RosterImport{Count: 2, By: engine.By{Operator: "olga"},
			Rows: slices.Values([]engine.RosterEntry{{ID: []byte("shopper-7")},
				{ID: []byte("nobody")}})}); out.Changed != 1 || out.Removed != 1 || err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := s.ImportRoster(t.Context(), riskyShoppers, in); out.Count != last-1 || err != nil {
		t.Errorf("done twice: %+v, %v", out, err)
	}
}

// TestImportThatIsOvertaken: of two imports of one list at a time, each is whole or
// not there.
func TestImportThatIsOvertaken(t *testing.T) {
	s := openShop(t, nil)
	const mine, others = importRows + 1, 5
	once := false
	_, err := s.ImportRoster(t.Context(), riskyShoppers, engine.RosterImport{Replace: true, Count: mine,
		Rows: rowsOf(mine, engine.LevelBlock), Committed: func(int) {
			if !once {
				once = true
				if _, err := s.bring(riskyShoppers, true, others, rowsOf(others, engine.LevelListed)); err != nil {
					t.Error(err)
				}
			}
		}})
	if isRefusal(err, engine.ReasonConflict) != nil {
		t.Errorf("%v", err)
	}
	if _, _, count, _, _ := s.RosterPage(riskyShoppers, 0, 1); count != others {
		t.Errorf("the list names %d, the other import had %d", count, others)
	}
}

// TestExportOfWhatIsReplaced: an export does not go on with another list.
func TestExportOfWhatIsReplaced(t *testing.T) {
	s := openShop(t, nil)
	const many = scanRows + 1
	if _, err := s.bring(riskyShoppers, true, many, rowsOf(many, engine.LevelBlock)); err != nil {
		t.Fatal(err)
	}
	err := s.ExportRoster(riskyShoppers, func([]engine.RosterRow) error {
		_, err := s.bring(riskyShoppers, true, 1, rowsOf(1, engine.LevelBlock))
		return err
	})
	if isRefusal(err, engine.ReasonConflict) != nil {
		t.Errorf("%v", err)
	}
}

func TestReservationsAreBroughtBeforeTheStart(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 2)
	mask.Reservation = true
	s.plan("day", func(x *engine.SessionPlan) {
		x.Start, x.End = s.Now().Add(time.Hour), s.Now().Add(2*time.Hour)
	}, mask)
	reserved := engine.RosterName{Kind: engine.RosterReserved, Session: "day", SKU: "mask"}
	if n, err := s.bring(reserved, false, 3, rowsOf(3, engine.LevelListed)); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if c, err := s.Counts("day", "mask"); c.Reserved != 3 || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Reserve(t.Context(), "zoe", "day", "mask", false); err != nil {
		t.Error(err)
	}
	if _, found, err := s.RosterRow(reserved, "zoe"); !found || err != nil {
		t.Errorf("%t, %v", found, err)
	}
	s.plan("now", nil, mask)
	if _, err := s.bring(engine.RosterName{Kind: engine.RosterReserved, Session: "now", SKU: "mask"}, true, 3,
		rowsOf(3, engine.LevelListed)); isRefusal(err, engine.ReasonTooLate) != nil {
		t.Errorf("after the start: %v", err)
	}
	if _, err := s.bring(engine.RosterName{Kind: engine.RosterReserved, Session: "day", SKU: "none"}, true, 3,
		rowsOf(3, engine.LevelListed)); isRefusal(err, engine.ReasonUnknown) != nil {
		t.Errorf("for nothing: %v", err)
	}
}

func TestImportEndsWithWhoAsks(t *testing.T) {
	s := openShop(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	const many = importRows * 3
	_, err := s.ImportRoster(ctx, riskyShoppers, engine.RosterImport{Replace: true, Count: many,
		Rows: rowsOf(many, engine.LevelBlock), Committed: func(int) { stop() }})
	if !errors.Is(err, engine.ErrOutcomeUnknown) && !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("%v", err)
	}
	if _, _, count, _, _ := s.RosterPage(riskyShoppers, 0, 1); count != 0 {
		t.Errorf("%d rows count of an import that was not finished", count)
	}
}

func TestAllowListIsForgotten(t *testing.T) {
	s := openShop(t, nil)
	vips := engine.RosterName{Kind: engine.RosterAllowed, Name: "vips"}
	if err := s.DropRoster(t.Context(), engine.By{Operator: "olga"}, vips, ""); isRefusal(err,
		engine.ReasonUnknown) != nil {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := s.bring(vips, true, 2, rowsOf(2, engine.LevelListed)); err != nil {
		t.Fatal(err)
	}
	if infos, _ := s.Rosters(); len(infos) != 5 || infos[4].Name != "vips" || infos[4].Count != 2 {
		t.Errorf("%+v", infos)
	}
	if err := s.DropRoster(t.Context(), engine.By{Operator: "olga"}, vips, ""); err != nil {
		t.Error(err)
	}
	if infos, _ := s.Rosters(); len(infos) != 4 {
		t.Errorf("%+v", infos)
	}
}

// BenchmarkImport takes a million rows in.
func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		s := openShop(b, nil)
		if n, err := s.ImportRoster(b.Context(), riskyShoppers,
			engine.RosterImport{Replace: true, Count: 1_000_000,
				Rows: rowsOf(1_000_000, engine.LevelBlock)}); n.Count != 1_000_000 || err != nil {
			b.Fatalf("%d, %v", n, err)
		}
	}
}
