package shipping_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"doorbuster/httpapi/shipping"
)

// What a warehouse sends is read, whatever stands beside what is asked for.
func TestFilesAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		format shipping.Format
		text   string
	}{
		"csv": {shipping.CSV, "order_no,carrier,tracking\nA1,SF,1\nB2,\"SF, air\",2\n"},
		"an export filled in": {shipping.CSV, "" +
			"\xef\xbb\xbforder_no,sku,Carrier, TRACKING \r\n A1 ,mask,SF,1\r\n,,,\r\n" +
			"B2,mask,\"SF, air\",2"},
		"ndjson": {shipping.NDJSON, `{"order_no":"A1","carrier":"SF","tracking":"1","weight":3}` + "\n\n" +
			`{"order_no":"B2","carrier":"SF, air","tracking":"2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := shipping.ReadParcels(strings.NewReader(c.text), c.format)
			if err != nil || len(rows) != 2 {
				t.Fatal(rows, err)
			}
			for i, want := range []shipping.Row{{OrderNo: "A1", Carrier: "SF", Tracking: "1"},
				{OrderNo: "B2", Carrier: "SF, air", Tracking: "2"}} {
				if want.Line = rows[i].Line; rows[i] != want || rows[i].Line == 0 {
					t.Errorf("%+v, not %+v", rows[i], want)
				}
			}
		})
	}
	rows, err := shipping.ReadOrders(strings.NewReader("A1\r\n\n  B2\n"), shipping.Lines)
	if err != nil || fmt.Sprint(rows) != "[{1 A1  } {3 B2  }]" {
		t.Error(rows, err)
	}
}

// Every bad row is told by its line, and nothing is taken.
func TestBadFiles(t *testing.T) {
	const head = "order_no,carrier,tracking\n"
	for name, c := range map[string]struct {
		format shipping.Format
		text   string
		told   []string // as "line: part of the message"
	}{
		"empty":            {shipping.CSV, "", []string{"1: the file is empty"}},
		"no column":        {shipping.CSV, "order_no,carrier\nA1,SF\n", []string{"1: tracking is missing"}},
		"a column twice":   {shipping.CSV, "order_no,carrier,carrier,tracking\n", []string{"1: carrier is there"}},
		"no columns named": {shipping.CSV, "A1,SF,1\n", []string{"1: must name the columns"}},
		"no number": {shipping.CSV, head + ",SF,1\n!,SF,1\n",
			[]string{"2: order_no is missing", "3: is no order number"}},
		"twice": {shipping.CSV, head + "A1,SF,1\nB2,SF,2\nA1,SF,1\n", []string{"4: on line 2, too"}},
		"cells missing": {shipping.CSV, head + "A1\nB2,SF\n",
			[]string{"2: carrier of order A1 is missing", "3: tracking"}},
		"too long": {shipping.CSV, head + "A1," + strings.Repeat("x", 65) + ",1\n", []string{"2: 65 bytes"}},
		"a cell too many": {shipping.CSV, "order_no,street,carrier,tracking\nA1,1 Lane, Floor 2,SF,123\n",
			[]string{"2: the line has 5 columns, and the first line names 4"}},
		"semicolons":       {shipping.CSV, "order_no;carrier;tracking\n", []string{"1: separated by commas"}},
		"another encoding": {shipping.CSV, head + "A1,\xcb\xb3\xb7\xe1,1\n", []string{"2: not UTF-8"}},
		"utf-16":           {shipping.CSV, "\xff\xfeo\x00", []string{"1: UTF-16"}},
		"does not show":    {shipping.CSV, head + "A1,SF,\"1\n2\"\n", []string{"2: does not show"}},
		"cut off":          {shipping.CSV, head + "A1,SF,4.20012E+14\n", []string{"2: cut off its last digits"}},
		"no csv":           {shipping.CSV, head + "A1,\"SF,1\nB2,SF,2\n", []string{"3: no CSV"}},
		"no object":        {shipping.NDJSON, "[]\n{\"order_no\":1}\n", []string{"1: no object", "2: can't be"}},
		"a long line": {shipping.NDJSON, strings.Repeat(" ", 20<<10) + "\n{\"order_no\":\"A1\"}\n",
			[]string{"1: longer than", "2: carrier"}},
		"plain lines": {shipping.Lines, "A1\n", []string{"1: have no carrier"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shipping.ReadParcels(strings.NewReader(c.text), c.format)
			var problems *shipping.Problems
			if !errors.As(err, &problems) || problems.Count != len(c.told) || len(problems.Told) != len(c.told) {
				t.Fatal(err)
			}
			for i, want := range c.told {
				if p := problems.Told[i]; !strings.HasPrefix(want, fmt.Sprint(p.Line)+": ") ||
					!strings.Contains(p.Message, want[strings.Index(want, " ")+1:]) {
					t.Errorf("line %d: %s; not %s", p.Line, p.Message, want)
				}
			}
		})
	}
}

// A file is bounded in what of it is told, and in its rows.
func TestLongFiles(t *testing.T) {
	var b strings.Builder
	for i := range shipping.MaxRows + shipping.MaxTold + 5 {
		fmt.Fprintf(&b, "o%d\n", i)
	}
	_, err := shipping.ReadOrders(strings.NewReader(b.String()), shipping.Lines)
	var problems *shipping.Problems
	if !errors.As(err, &problems) || problems.Count != shipping.MaxTold+5 || len(problems.Told) != shipping.MaxTold ||
		problems.Told[0].Line != shipping.MaxRows+1 {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("order_no,carrier,tracking\nA1,SF,1\n", uint8(0))
	f.Add(`{"order_no":"A1","carrier":"SF","tracking":"1"}`, uint8(1))
	f.Add("A1\nB2\n", uint8(2))
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		rows, err := shipping.ReadParcels(strings.NewReader(text), shipping.Format(format%3))
		var problems *shipping.Problems
		if err != nil && (!errors.As(err, &problems) || problems.Count == 0 || len(rows) > 0) {
			t.Error(rows, err)
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if r.OrderNo == "" || r.Carrier == "" || r.Tracking == "" || r.Line < 1 || seen[r.OrderNo] {
				t.Errorf("%+v", r)
			}
			seen[r.OrderNo] = true
		}
	})
}
