package roster

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"doorbuster/engine"
)

// told gives the rows of a list as text.
func told(l *List) string {
	var b strings.Builder
	for row := range l.Rows() {
		fmt.Fprintf(&b, "%s=%s ", row.ID, row.Level)
	}
	return strings.TrimSpace(b.String())
}

func TestGoodLists(t *testing.T) {
	for name, c := range map[string]struct {
		kind     engine.RosterKind
		format   Format
		text     string
		want     string
		repeated int
	}{
		"lines": {engine.RosterRiskShopper, Lines, "ann\nbob,watch\r\n\n  cai , challenge",
			"ann=block bob=watch cai=challenge", 0},
		"one line":        {engine.RosterAllowed, Lines, "ann", "ann=watch", 0},
		"nothing":         {engine.RosterAllowed, Lines, "", "", 0},
		"byte order mark": {engine.RosterAllowed, Lines, "\xef\xbb\xbfann\n", "ann=watch", 0},
		"repeated":        {engine.RosterRiskShopper, Lines, "ann\nann,block\nann", "ann=block", 2},
		"phones": {engine.RosterRiskPhone, Lines, "+86 138-0013-8000\n+8613800138000\n",
			"+8613800138000=block", 1},
		"addresses": {engine.RosterRiskAddress, Lines, "12 Long Lane, Springfield\n长安街 1 号,watch",
			"12 long lane, springfield=block 长安街 1 号=watch", 0},
		"IP": {engine.RosterRiskIP, Lines, "203.0.113.7\n203.0.113.0/24,watch\n2001:DB8::/32",
			"203.0.113.7/32=block 203.0.113.0/24=watch 2001:db8::/32=block", 0},
		"mapped prefix": {engine.RosterRiskIP, Lines, "::ffff:203.0.113.0/120", "203.0.113.0/24=block", 0},
		"mapped IP":     {engine.RosterRiskIP, Lines, "::ffff:203.0.113.7", "203.0.113.7/32=block", 0},
		"a name in quotes": {engine.RosterRiskAddress, CSV, "\"5 Main St, \"\"Rose Cottage\"\"\"\n",
			"5 main st, \"rose cottage\"=block", 0},
		"CSV": {engine.RosterRiskAddress, CSV, "\"12 Long Lane, Springfield\",watch\nHere\n",
			"12 long lane, springfield=watch here=block", 0},
		"CSV with columns": {engine.RosterRiskShopper, CSV, "id,since,level\nann,2026-09-20T02:00:00Z,watch\nbob,,\n",
			"ann=watch bob=block", 0},
		"objects": {engine.RosterRiskShopper, NDJSON,
			`{"id":"ann","level":"watch","since":"2026-09-20T02:00:00Z"}` + "\n" + `{"id":"bob"}`,
			"ann=watch bob=block", 0},
		"objects of words": {engine.RosterAllowed, NDJSON, `{"id":"ann"}` + "\n" + `{"id":"user"}`,
			"ann=watch user=watch", 0},
		"word and a level": {engine.RosterRiskShopper, Lines, "user,watch", "user=watch", 0},
		"no words":         {engine.RosterRiskShopper, CSV, "ann\n", "ann=block", 0},
		"taken off":        {engine.RosterAllowed, Lines, "ann,none", "ann=none", 0},
	} {
		t.Run(name, func(t *testing.T) {
			level := engine.LevelListed
			if c.kind >= engine.RosterRiskShopper {
				level = engine.LevelBlock
			}
			l, err := Read(iotest.OneByteReader(strings.NewReader(c.text)), Config{Kind: c.kind, Format: c.format,
				Level: level})
			if err != nil {
				t.Fatal(err)
			}
			if got := told(l); got != c.want || l.Repeated() != c.repeated {
				t.Errorf("%s, %d repeated; want %s, %d", got, l.Repeated(), c.want, c.repeated)
			}
		})
	}
}

func TestBadLists(t *testing.T) {
	for name, c := range map[string]struct {
		kind   engine.RosterKind
		format Format
		text   string
		line   int
		count  int
		says   string
	}{
		"shopper": {engine.RosterRiskShopper, Lines, "ann\nb ob\n", 2, 1, "no shopper's id"},
		"level": {engine.RosterRiskShopper, CSV, "ann,never\n", 1, 1,
			"none of watch, challenge, block, none"},
		"a level in a line": {engine.RosterRiskShopper, Lines, "ann,nope\n", 1, 1,
			"none of watch, challenge, block, none"},
		"two levels": {engine.RosterRiskShopper, Lines, "ann,block\nbob\nann,watch", 3, 1,
			`"ann" is watch here and block on line 1`},
		"level on allowed":  {engine.RosterAllowed, Lines, "ann,block", 1, 1, "for risk lists"},
		"none in a whole":   {engine.RosterRiskShopper, Lines, "ann,none", 1, 1, "leave the row out"},
		"phone":             {engine.RosterRiskPhone, Lines, "+8613800138000\n13800138000", 2, 1, "+8613800138000"},
		"host bits":         {engine.RosterRiskIP, Lines, "203.0.113.7/24", 1, 1, `"203.0.113.0/24"`},
		"every IPv4 mapped": {engine.RosterRiskIP, Lines, "::ffff:0:0/95", 1, 1, ""},
		"no IP":             {engine.RosterRiskIP, Lines, "203.0.113", 1, 1, "neither an IP address"},
		"Latin-1":           {engine.RosterRiskAddress, Lines, "Caf\xe9", 1, 1, "not UTF-8"},
		"UTF-16":            {engine.RosterRiskShopper, Lines, "\xff\xfea\x00n\x00n\x00", 1, 1, "UTF-16"},
		"long line": {engine.RosterRiskAddress, Lines, "Here\n" + strings.Repeat("x", 200_000) + "\nThere",
			2, 1, "longer than"},
		"three columns":   {engine.RosterRiskAddress, CSV, "12 Long Lane, Springfield, block\n", 1, 1, "Quote"},
		"unknown column":  {engine.RosterRiskShopper, CSV, "id,why\nann,x\n", 1, 1, "why"},
		"open quote":      {engine.RosterRiskShopper, CSV, "ann\n\"bob\n", 2, 1, "no CSV"},
		"no object":       {engine.RosterRiskShopper, NDJSON, `{"id":"ann"}` + "\nbob\n", 2, 1, "no object"},
		"unknown member":  {engine.RosterRiskShopper, NDJSON, `{"id":"ann","lvl":"watch"}`, 1, 1, "lvl"},
		"two objects":     {engine.RosterRiskShopper, NDJSON, `{"id":"ann"}{"id":"bob"}`, 1, 1, "goes on"},
		"no id":           {engine.RosterRiskShopper, NDJSON, `{}`, 1, 1, "no shopper's id"},
		"semicolons":      {engine.RosterRiskShopper, Lines, "evil1;block\n", 1, 1, "evil1;block"},
		"a header":        {engine.RosterRiskShopper, Lines, "id;level\nevil1;block\n", 1, 2, "id;level"},
		"a header of one": {engine.RosterAllowed, Lines, "id\nann\n", 1, 1, "looks like the names of columns"},
		"another header": {engine.RosterAllowed, Lines, "Shopper_ID\nann\n", 1, 1,
			"looks like the names of columns"},
		"a CSV header": {engine.RosterAllowed, CSV, "shopper_id\nann\n", 1, 1,
			"looks like the names of columns"},
		"a header, joined": {engine.RosterAllowed, Lines, "ann\nid\nbob\n", 2, 1,
			"looks like the names of columns"},
		"columns, joined": {engine.RosterRiskShopper, Lines, "ann\nID , Level\nbob\n", 2, 1,
			"looks like the names of columns"},
		"exports, joined": {engine.RosterRiskShopper, CSV, "id,level,since\nann,block,\nid,level,since\nbob,,\n",
			3, 1, "looks like the names of columns"},
		"level, id": {engine.RosterRiskShopper, CSV, "level,id\nblock,ann\n", 1, 2,
			"looks like the names of columns"},
		"level, id, since": {engine.RosterAllowed, CSV, "level,id,since\n", 1, 1,
			"looks like the names of columns"},
		"columns in quotes": {engine.RosterAllowed, Lines, "\"id\",\"since\"\n", 1, 1,
			"looks like the names of columns"},
		"quotes in lines":     {engine.RosterAllowed, Lines, "ann\n\"bob\"\n", 2, 1, "quot"},
		"single quotes":       {engine.RosterAllowed, Lines, "ann\n'bob'\n", 2, 1, "quot"},
		"quotes and a level":  {engine.RosterRiskShopper, Lines, "\"bob\",block\n", 1, 1, "quot"},
		"semicolons in CSV":   {engine.RosterRiskShopper, CSV, "id;level\nevil1;block\n", 1, 2, "id;level"},
		"semicolons, object":  {engine.RosterRiskShopper, NDJSON, `{"id":"evil1;block"}`, 1, 1, "evil1;block"},
		"bars":                {engine.RosterRiskShopper, Lines, "evil1|block\n", 1, 1, "evil1|block"},
		"tabs":                {engine.RosterRiskAddress, Lines, "12 Long Lane\tblock\n", 1, 1, "12 Long Lane"},
		"an address, a level": {engine.RosterRiskAddress, Lines, "12 Long Lane; block\n", 1, 1, "12 Long Lane"},
		"an address in quotes": {engine.RosterRiskAddress, Lines, "\"12 Long Lane, Springfield\",block\n", 1, 1,
			"quot"},
		"a phone and a word": {engine.RosterRiskPhone, Lines, "+8613800138000 block\n", 1, 1, "no phone number"},
		"a phone, a level":   {engine.RosterRiskPhone, Lines, "+8613800138000;watch\n", 1, 1, "+8613800138000;watch"},
		"an address, bidi":   {engine.RosterRiskAddress, Lines, "12 \u202eenaL gnoL\n", 1, 1, "does not show"},
		"thirty are counted": {engine.RosterRiskShopper, Lines, strings.Repeat("a b\n", 30), 1, 30,
			"no shopper's id"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Read(strings.NewReader(c.text), Config{Kind: c.kind, Format: c.format, Level: engine.LevelListed,
				Whole: name == "none in a whole"})
			var p *Problems
			if !errors.As(err, &p) || l != nil {
				t.Fatalf("%v, %v", l, err)
			}
			if p.Count != c.count || len(p.Told) != min(c.count, maxTold) || p.Told[0].Line != c.line ||
				!strings.Contains(p.Told[0].Message, c.says) {
				t.Errorf("%d problems, %+v; want %d, line %d: %s", p.Count, p.Told, c.count, c.line, c.says)
			}
			if !strings.Contains(p.Error(), c.says) {
				t.Error(p)
			}
		})
	}
}

func TestBrokenOffList(t *testing.T) {
	for _, f := range []Format{Lines, CSV, NDJSON} {
		text := strings.Repeat(`{"id":"ann"}`+"\n", 3)
		if f != NDJSON {
			text = "ann\nbob\n"
		}
		from := io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF))
		if l, err := Read(from, Config{Kind: engine.RosterRiskShopper, Format: f,
			Level: engine.LevelBlock}); l != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("format %d: %v, %v", f, l, err)
		}
	}
}

func TestManyRows(t *testing.T) {
	const rows = 20_000
	var b strings.Builder
	for range 2 {
		for i := range rows {
			fmt.Fprintf(&b, "shopper-%d\n", i)
		}
	}
	l, err := Read(strings.NewReader(b.String()), Config{Kind: engine.RosterAllowed, Level: engine.LevelListed})
	if err != nil || l.Len() != rows || l.Repeated() != rows {
		t.Fatalf("%v, %d, %d", err, l.Len(), l.Repeated())
	}
	i := 0
	for row := range l.Rows() {
		if want := fmt.Sprintf("shopper-%d", i); string(row.ID) != want {
			t.Fatalf("row %d is %s", i, row.ID)
		}
		i++
	}
}

func TestFormatOf(t *testing.T) {
	for given, want := range map[string]Format{"": Lines, "text/plain; charset=utf-8": Lines, "text/csv": CSV,
		"application/x-ndjson": NDJSON} {
		if f, known := FormatOf(given); !known || f != want {
			t.Errorf("%q is %d, %t", given, f, known)
		}
	}
	if _, known := FormatOf("application/x-www-form-urlencoded"); known {
		t.Error("a form is taken")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("ann\nbob,watch\n", byte(0), byte(3))
	f.Add("id,level\nann,watch\n", byte(1), byte(3))
	f.Add(`{"id":"203.0.113.7"}`, byte(2), byte(6))
	f.Fuzz(func(t *testing.T, text string, format, kind byte) {
		k := engine.RosterKind(kind%6) + 1
		l, err := Read(strings.NewReader(text), Config{Kind: k, Format: Format(format % 3), Level: engine.LevelListed})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for row := range l.Rows() {
			if wrong := engine.ValidRosterRow(k, string(row.ID), row.Level); wrong != "" || seen[string(row.ID)] {
				t.Errorf("%q: %s, twice: %t", row.ID, wrong, seen[string(row.ID)])
			}
			seen[string(row.ID)] = true
		}
		if len(seen) != l.Len() {
			t.Errorf("%d ids of %d", len(seen), l.Len())
		}
	})
}
