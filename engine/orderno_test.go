package engine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const someLife Life = 0x12_3456_789A

func TestOrderNumbersAreABijection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Numberer{rapid.Uint64().Draw(t, "k0"), rapid.Uint64().Draw(t, "k1")}
		draw := func(name string) (OrderRef, Life) {
			return OrderRef{SessionHandle(rapid.Uint32Min(1).Draw(t, name)), rapid.Uint32Min(1).Draw(t, name)},
				Life(rapid.Uint64Range(1, 1<<lifeBits-1).Draw(t, name+" life"))
		}
		a, lifeA := draw("a")
		b, lifeB := draw("b")
		no := n.Number(a, lifeA)
		if !ValidOrderNo(no.String()) {
			t.Fatalf("%q is no order number", no)
		}
		if !strings.HasSuffix(no.String(), lifeA.String()) {
			t.Fatalf("%s does not end in %s", no, lifeA)
		}
		if got, life, ok := n.Parse(no.String()); !ok || got != a || life != lifeA {
			t.Fatalf("%v of %s became %s, which became %v of %s, %v", a, lifeA, no, got, life, ok)
		}
		if (no == n.Number(b, lifeB)) != (a == b && lifeA == lifeB) {
			t.Fatalf("%v and %v share %s", a, b, no)
		}
	})
}

// Neighbours look nothing alike.
func TestOrderNumbersTellNoOrder(t *testing.T) {
	n := Numberer{1, 2}
	seen := map[string]bool{}
	for i := range uint32(10_000) {
		no := n.Number(OrderRef{1, i + 1}, someLife).String()
		if seen[no[:8]] {
			t.Fatalf("%s begins like one before it", no)
		}
		seen[no[:8]] = true
	}
}

func TestParseRefusesOtherSpellings(t *testing.T) {
	n := Numberer{1, 2}
	no := n.Number(OrderRef{3, 7}, someLife).String()
	bad := map[string]string{
		"empty": "", "short": no[:23], "long": no + "0", "padded": no[:23] + "=", "a space": " " + no[:23],
		"a letter that is none":     "U" + no[1:],
		"bytes that are no letters": "\xff\xfe" + no[2:], "a line's end within": no[:5] + "\n" + no[6:],
		"lower case": strings.ToLower(no),
		"no session": n.Number(OrderRef{0, 7}, someLife).String(),
		"no ordinal": n.Number(OrderRef{3, 0}, someLife).String(),
		"no life":    n.Number(OrderRef{3, 7}, 0).String(), "another group's": Numberer{9, 9}.Number(OrderRef{3, 7},
			someLife).String(),
	}
	for i := range no {
		other := "0"
		if no[i] == '0' {
			other = "1"
		}
		bad[fmt.Sprint("another character at ", i)] = no[:i] + other + no[i+1:]
	}
	for name, no := range bad {
		if ref, life, ok := n.Parse(no); ok {
			t.Errorf("%s: %q is taken for %v of %s", name, no, ref, life)
		}
	}
}

func TestFindOrderKnowsNoOtherLife(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 100})
	var refs []OrderRef
	for i := range 9 {
		if i%3 == 1 { // two lives have three orders, the first and the last one have one and two
			g.open()
		}
		refs = append(refs, g.grab(x.Listings[0], fmt.Sprint("s", i), "k", 1).Order)
	}
	g.open() // one that grants nothing here
	twin := copied(t, g.state)
	if len(x.lives) != 4 {
		t.Fatalf("lives %v", x.lives)
	}
	numberer := g.state.Numberer()
	for i, ref := range refs {
		for _, s := range []*State{g.state, twin} {
			if got, known := s.FindOrder(s.OrderNo(ref)); !known || got != ref {
				t.Errorf("order %d: %q leads to %v, %v", i, s.OrderNo(ref), got, known)
			}
			for _, lived := range x.lives {
				no := numberer.Number(ref, lived.life).String()
				if _, known := s.FindOrder(no); known != (lived.life == s.Life(ref)) {
					t.Errorf("order %d of life %s: known %v with %s", i, s.Life(ref), known, lived.life)
				}
			}
		}
	}
	if no := numberer.Number(OrderRef{1, 10}, g.state.life).String(); no == "" ||
		g.state.OrderNo(OrderRef{1, 10}) != "" {
		t.Error("an order that is not there has a number")
	} else if _, known := g.state.FindOrder(no); known {
		t.Error("an order that is not there is found")
	}
}

func FuzzParseOrderNo(f *testing.F) {
	n := Numberer{1, 2}
	f.Add(n.Number(OrderRef{3, 7}, someLife).String())
	f.Fuzz(func(t *testing.T, no string) {
		if ref, life, ok := n.Parse(no); ok && n.Number(ref, life).String() != no {
			t.Fatalf("%q is %v of %s, whose number is %q", no, ref, life, n.Number(ref, life))
		}
	})
}

func TestNumbersAllocateNothing(t *testing.T) {
	n, no := Numberer{1, 2}, OrderNo{}
	if got := testing.AllocsPerRun(100, func() { no = n.Number(OrderRef{3, 7}, someLife) }); got != 0 {
		t.Errorf("a number allocates %v times", got)
	}
	_ = no
}

func BenchmarkNumber(b *testing.B) {
	n, no := Numberer{1, 2}, OrderNo{}
	for i := range b.N {
		no = n.Number(OrderRef{3, uint32(i)}, someLife)
	}
	_ = no
}

func ExampleNumberer() {
	n := Numberer{k0: 1, k1: 2}
	no := n.Number(OrderRef{Session: 1, Ordinal: 42}, 7).String()
	ref, life, ok := n.Parse(no)
	fmt.Println(len(no), no[16:], ref, life, ok)
	// Output: 24 00000007 {1 42} 00000007 true
}
