package draw

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// held makes a draw of so many entrants for so many units, in which all went well:
// the last two came late, the first in the order left, the second was forbidden.
func held(entrants, units int) (*Draw, [32]byte) {
	seed := [32]byte{1, 2, 3}
	commitment := engine.Commitment(seed)
	d := &Draw{Header: Header{Version: Version, Session: "day", SKU: "mask", Stock: int64(units),
		State: "done", DrawAt: time.Unix(1_790_000_000, 0).UTC(),
		Commitment: hex.EncodeToString(commitment[:]), Seed: hex.EncodeToString(seed[:])}}
	for i := range entrants {
		d.Entries = append(d.Entries, Entry{OrderNo: fmt.Sprintf("N%05d", i), Quantity: 1, Late: i >= entrants-2})
	}
	for i, e := range InOrder(d, seed) {
		switch {
		case i == 0:
			e.State, e.Why = "left", "left"
		case i == 1:
			e.State, e.Why = "passed", "risk"
		case i < units+2:
			e.State = []string{"held", "paid"}[i%2]
		default:
			e.State, e.Why = "passed", "drawn"
		}
	}
	return d, seed
}

func TestGoodDraws(t *testing.T) {
	d, seed := held(50, 10)
	r := Verify(d, strings.ToUpper(d.Commitment))
	if !r.Holds() || r.Entrants != 50 || r.Late != 2 || r.Got != 10 || r.NothingLeft != 38 || r.Left != 1 ||
		r.Forbidden != 1 {
		t.Errorf("%+v", r)
	}
	order := InOrder(d, seed)
	order[5].State = "expired" // its unit came back, to somebody who waited
	order[20].State, order[20].Why = "held", ""
	order[19].State, order[19].Why = "waiting", ""
	if r := Verify(d, ""); !r.Holds() || r.CameBack != 1 || r.Waiting != 1 {
		t.Errorf("with a unit that came back: %+v", r)
	}
	for i := range d.Entries { // plenty for all
		d.Entries[i].State, d.Entries[i].Why = "held", ""
	}
	d.Stock = 50
	if r := Verify(d, ""); !r.Holds() || r.Got != 50 {
		t.Errorf("for everybody: %+v", r)
	}
	d, seed = held(50, 10)
	order = InOrder(d, seed)
	order[11].State, order[11].Why, order[11].Quantity = "passed", "drawn", 2 // one was left, they asked for two
	order[12].State, order[12].Why = "held", ""
	if r := Verify(d, ""); !r.Holds() {
		t.Errorf("one who asks for more than is left: %+v", r)
	}
}

func TestTamperedDraws(t *testing.T) {
	other := engine.Commitment([32]byte{9})
	for name, c := range map[string]struct {
		tamper     func(d *Draw, order []*Entry)
		commitment string
		says       string
	}{
		"another seed": {func(d *Draw, _ []*Entry) { d.Seed = strings.Repeat("00", 32) }, "",
			"was committed to beforehand"},
		"another commitment": {func(*Draw, []*Entry) {}, hex.EncodeToString(other[:]), "was committed to beforehand"},
		"a commitment to match": {func(d *Draw, _ []*Entry) {
			s := [32]byte{7}
			c := engine.Commitment(s)
			d.Seed, d.Commitment = hex.EncodeToString(s[:]), hex.EncodeToString(c[:])
		}, "told", "was committed to beforehand"},
		"no seed":     {func(d *Draw, _ []*Entry) { d.Seed = "" }, "", "not closed"},
		"half a seed": {func(d *Draw, _ []*Entry) { d.Seed = d.Seed[:10] }, "", "32 bytes"},
		"outcomes swapped": {func(_ *Draw, o []*Entry) {
			o[4].State, o[30].State, o[4].Why, o[30].Why = o[30].State, o[4].State, o[30].Why, o[4].Why
		}, "", "although nothing was left"},
		"the last one swapped": {func(_ *Draw, o []*Entry) {
			o[11].State, o[12].State, o[11].Why, o[12].Why = o[12].State, o[11].State, "drawn", ""
		}, "", "although nothing was left"},
		"a late one first": {func(_ *Draw, o []*Entry) { o[49].State, o[49].Why = "held", "" }, "",
			"although nothing was left"},
		"one more than stock": {func(d *Draw, o []*Entry) { o[12].State, o[12].Why = "held", "" }, "",
			"only 10 were put up"},
		"twice": {func(d *Draw, o []*Entry) { d.Entries[1].OrderNo = d.Entries[0].OrderNo }, "",
			"twice"},
		"undecided":            {func(_ *Draw, o []*Entry) { o[7].State = "entered" }, "", "not decided yet"},
		"no outcome":           {func(_ *Draw, o []*Entry) { o[7].State = "happy" }, "", "no outcome"},
		"passed for no reason": {func(_ *Draw, o []*Entry) { o[7].State, o[7].Why = "passed", "" }, "", "no outcome"},
	} {
		t.Run(name, func(t *testing.T) {
			d, seed := held(50, 10)
			told := c.commitment
			if told == "told" {
				told = d.Commitment
			}
			c.tamper(d, InOrder(d, seed))
			r := Verify(d, told)
			if r.Holds() || !strings.Contains(strings.Join(r.Problems, "\n"), c.says) {
				t.Errorf("%q does not say %q", r.Problems, c.says)
			}
		})
	}
}

func written(t *testing.T, d *Draw) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, d.Header)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Entries {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestFiles(t *testing.T) {
	d, _ := held(50, 10)
	file := written(t, d)
	back, err := Read(bytes.NewReader(file))
	if err != nil || back.Header != d.Header || !slices.Equal(back.Entries, d.Entries) {
		t.Fatalf("%v\n%+v\n%+v", err, back, d)
	}
	lines := bytes.SplitAfter(file, []byte("\n"))
	for name, damaged := range map[string][][]byte{
		"an entry dropped": slices.Delete(slices.Clone(lines), 7, 8),
		"an entry twice":   slices.Insert(slices.Clone(lines), 7, lines[7]),
		"two swapped":      slices.Concat(lines[:7], lines[8:9], lines[7:8], lines[9:]),
		"cut off":          lines[:20],
		"no header":        lines[1:],
		"more behind":      slices.Concat(lines, lines[3:4]),
		"no JSON":          slices.Concat(lines[:3], [][]byte{[]byte("{\n")}, lines[3:]),
		"nothing":          {},
	} {
		if _, err := Read(bytes.NewReader(bytes.Join(damaged, nil))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
