package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// constantsIn counts the constants of a file's block that has first in it, those
// that name the end of the list aside.
func constantsIn(t *testing.T, file, first string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		names = nil
		for _, spec := range block.Specs {
			for _, id := range spec.(*ast.ValueSpec).Names {
				if ast.IsExported(id.Name) || !strings.HasSuffix(id.Name, "End") {
					names = append(names, id.Name)
				}
			}
		}
		if slices.Contains(names, first) {
			return names
		}
	}
	t.Fatalf("no constant %s in %s", first, file)
	return nil
}

// snake turns a constant's name into the word that stands for it outside.
func snake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Every constant has its own name in the table beside it, in the same place.
func TestNamesMatchConstants(t *testing.T) {
	as := func(prefix string) func(string) string {
		return func(name string) string { return snake(strings.TrimPrefix(name, prefix)) }
	}
	cases := []struct {
		file, first string
		table       []string
		skip        int // table entries before the first constant
		name        func(string) string
	}{
		{"types.go", "Draft", sessionStates[:], 0, as("")},
		{"types.go", "ListingDraft", listingStates[:], 0, as("Listing")},
		{"types.go", "Held", orderStates[:], 1, as("")},
		{"types.go", "ReasonNone", reasons[:], 0, as("Reason")},
		{"grab.go", "CodeRefused", codes[:], 0, as("Code")},
		{"command.go", "SessionPublish", sessionActions[:], 1, as("Session")},
		{"event.go", "EventNone", eventKinds[:], 0, func(name string) string {
			return strings.TrimPrefix(name, "Event")
		}},
	}
	for _, c := range cases {
		constants := constantsIn(t, c.file, c.first)
		table := c.table[c.skip:]
		if len(constants) != len(table) {
			t.Errorf("%s: %d constants, %d names", c.first, len(constants), len(table))
			continue
		}
		for i, constant := range constants {
			if want := c.name(constant); table[i] != want {
				t.Errorf("%s is called %q, want %q", constant, table[i], want)
			}
		}
	}
	if int(orderStateEnd) != len(orderStates) || int(reasonEnd) != len(reasons) {
		t.Error("the ends of states and reasons are not those of their names")
	}
	for _, name := range constantsIn(t, "command.go", "CmdOpenEpoch") {
		if !strings.EqualFold(name[:3], "cmd") {
			continue
		}
		found := false
		for _, known := range commandSpecs {
			found = found || known.name == name[3:]
		}
		if !found {
			t.Errorf("%s has no name", name)
		}
	}
}

// The words are on wires and in other people's dashboards.
func TestNamesOutside(t *testing.T) {
	cases := []struct{ got, want string }{
		{RefundDue.String(), "refund_due"},
		{OrderState(99).String(), "unknown"},
		{ReasonLimitSession.String(), "limit_session"},
		{CodeSoldOut.String(), "sold_out"},
		{ListingSoldOut.String(), "sold_out"},
		{SessionPause.String(), "pause"},
		{CmdPlaceHold.String(), "PlaceHold"},
		{CommandKind(99).String(), "command 99"},
		{strings.Join(Codes()[:3], " "), "refused granted waitlisted"},
		{strings.Join(Reasons()[:3], " "), "none sold_out gone"},
		{(&Refusal{Reason: ReasonNotHeld, State: Paid}).Error(), "refused: not_held (the order is paid)"},
		{(&Refusal{Reason: ReasonUnknown}).Error(), "refused: unknown"},
		{Event{Kind: HoldPlaced, Order: OrderRef{1, 2}, State: Held, Listing: 3, Quantity: 4}.String(),
			"HoldPlaced order 1/2 held listing 3 quantity 4"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for s := Held; s < orderStateEnd; s++ {
		if got, ok := ParseOrderState(s.String()); !ok || got != s {
			t.Errorf("%v is read as %v, %v", s, got, ok)
		}
	}
	if _, ok := ParseOrderState(""); ok {
		t.Error("nothing is read as a state")
	}
}

func TestCodeOfReasons(t *testing.T) {
	want := map[Reason]Code{
		ReasonSoldOut: CodeSoldOut, ReasonGone: CodeSoldOut, ReasonLimitListing: CodeLimitReached,
		ReasonLimitSession: CodeLimitReached,
		ReasonReleases:     CodeLimitReached, ReasonNotOpen: CodeNotOpen, ReasonPaused: CodeNotOpen,
		ReasonEnded:   CodeEnded,
		ReasonUnknown: CodeRefused, ReasonQuantity: CodeRefused, ReasonKeyReused: CodeRefused,
		ReasonLimitMonth: CodeLimitReached, ReasonNotReserved: CodeNotReserved, ReasonNotAllowed: CodeNotReserved,
		ReasonTicketMissing: CodeTicketRequired, ReasonTicketUsed: CodeTicketRequired, ReasonLeft: CodeSoldOut,
		ReasonDrawn:  CodeSoldOut,
		ReasonTooFew: CodeSoldOut, ReasonNotFirst: CodeLimitReached, ReasonBought: CodeLimitReached,
		ReasonNotAtFloor: CodeRefused, ReasonBargainOver: CodeEnded,
	}
	for r := ReasonNone; r < reasonEnd; r++ {
		code, found := want[r]
		if !found {
			code = CodeMissed // whatever else is behind it, one and the same answer
		}
		if got := CodeOf(r); got != code {
			t.Errorf("%v: %v, want %v", r, got, code)
		}
	}
}

func TestValidNames(t *testing.T) {
	cases := []struct {
		name             string
		id, shopper, key bool
	}{
		{"", false, false, false},
		{"a", true, true, true},
		{"Mask-50_v1.2", true, true, true},
		{"-a", false, true, true},
		{".a", false, true, true},
		{"_a", false, true, true},
		{"0", true, true, true},
		{"a b", false, false, false},
		{"a\n", false, false, false},
		{"a\x7f", false, false, false},
		{"é", false, false, false},
		{"a/b", false, true, true},
		{"a%2e", false, true, true},
		{"~", false, true, true},
		{strings.Repeat("a", MaxIDBytes), true, true, true},
		{strings.Repeat("a", MaxIDBytes+1), false, true, true},
		{strings.Repeat("a", MaxShopperBytes), false, true, true},
		{strings.Repeat("a", MaxShopperBytes+1), false, false, true},
		{strings.Repeat("a", MaxKeyBytes), false, false, true},
		{strings.Repeat("a", MaxKeyBytes+1), false, false, false},
	}
	for _, c := range cases {
		if got := ValidID(c.name); got != c.id {
			t.Errorf("ValidID(%q) = %v", c.name, got)
		}
		if got := ValidShopper(c.name); got != c.shopper {
			t.Errorf("ValidShopper(%q) = %v", c.name, got)
		}
		if got := ValidKey([]byte(c.name)); got != c.key {
			t.Errorf("ValidKey(%q) = %v", c.name, got)
		}
	}
}
