package engine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOrderNumbersAreABijection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Numberer{rapid.Uint64().Draw(t, "k0"), rapid.Uint64().Draw(t, "k1")}
		draw := func(name string) OrderRef {
			return OrderRef{SessionHandle(rapid.Uint32Min(1).Draw(t, name)), rapid.Uint32Min(1).Draw(t, name)}
		}
		a, b := draw("a"), draw("b")
		no := n.String(a)
		if len(no) != OrderNoBytes {
			t.Fatalf("%q has %d characters", no, len(no))
		}
		if got, ok := n.Parse(no); !ok || got != a {
			t.Fatalf("%v became %s, which became %v, %v", a, no, got, ok)
		}
		if (no == n.String(b)) != (a == b) {
			t.Fatalf("%v and %v share %s", a, b, no)
		}
		if got := string(n.Append([]byte("order "), a)); got != "order "+no {
			t.Fatalf("appended: %q", got)
		}
	})
}

// Neighbours look nothing alike.
func TestOrderNumbersTellNoOrder(t *testing.T) {
	n := Numberer{1, 2}
	seen := map[string]bool{}
	for i := range uint32(10_000) {
		no := n.String(OrderRef{1, i + 1})
		if seen[no[:8]] {
			t.Fatalf("%s begins like one before it", no)
		}
		seen[no[:8]] = true
	}
}

func TestParseRefusesOtherSpellings(t *testing.T) {
	n := Numberer{1, 2}
	no := n.String(OrderRef{3, 7})
	last := strings.IndexByte("0123456789ABCDEFGHJKMNPQRSTVWXYZ", no[12])
	bad := map[string]string{
		"empty": "", "short": no[:12], "long": no + "0", "padded": no[:12] + "=", "a space": " " + no[:12], "a letter that is none": "U" + no[1:],
		"bytes that are no letters": "\xff\xfe" + no[2:], "a line's end within": no[:5] + "\n" + no[6:],
		"other padding bits": no[:12] + string("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[last^1]),
		"no session":         n.String(OrderRef{0, 7}), "no ordinal": n.String(OrderRef{3, 0}), "nothing": n.String(OrderRef{}),
	}
	if lower := strings.ToLower(no); lower != no {
		bad["lower case"] = lower
	}
	for name, no := range bad {
		if ref, ok := n.Parse(no); ok {
			t.Errorf("%s: %q is taken for %v", name, no, ref)
		}
	}
	// Another group's number leads to no order here, or to nothing at all.
	if ref, ok := (Numberer{9, 9}).Parse(no); ok && ref == (OrderRef{3, 7}) {
		t.Error("another secret gives the same number")
	}
}

func FuzzParseOrderNo(f *testing.F) {
	n := Numberer{1, 2}
	f.Add(n.String(OrderRef{3, 7}))
	f.Fuzz(func(t *testing.T, no string) {
		if ref, ok := n.Parse(no); ok && n.String(ref) != no {
			t.Fatalf("%q is %v, whose number is %q", no, ref, n.String(ref))
		}
	})
}

func ExampleNumberer() {
	n := Numberer{k0: 1, k1: 2}
	no := n.String(OrderRef{Session: 1, Ordinal: 42})
	ref, ok := n.Parse(no)
	fmt.Println(len(no), ref, ok)
	// Output: 13 {1 42} true
}
