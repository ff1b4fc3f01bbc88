package cloudevents_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
)

func data(c *sinks.Change) ([]byte, error) {
	return json.Marshal(map[string]any{"order_no": c.OrderNo, "note": c.Note})
}

func ExampleFormat_Encode() {
	format := cloudevents.Format{Source: "/doorbuster/shop", Data: data}
	event, err := format.Encode(&sinks.Change{TrailEvent: engine.TrailEvent{
		TrailPosition: engine.TrailPosition{Index: 4711, N: 2}, Kind: engine.OrderPaid, Time: 1_790_000_000_123,
		Session: "fans-day-10", OrderNo: "7H2K"}})
	fmt.Println(strings.ReplaceAll(string(event), `,"`, ",\n\""), err)
	// Output:
	// {"specversion":"1.0",
	// "id":"4711.2",
	// "source":"/doorbuster/shop",
	// "type":"doorbuster.order_paid",
	// "subject":"7H2K",
	// "time":"2026-09-21T14:13:20.123Z",
	// "datacontenttype":"application/json",
	// "data":{"note":"",
	// "order_no":"7H2K"}} <nil>
}

func TestEncode(t *testing.T) {
	format := cloudevents.Format{Source: "/doorbuster/shop", Data: data}
	for _, c := range []struct {
		name, kind, subject string
		event               engine.TrailEvent
	}{
		{"of a session", "doorbuster.session_opened", "s-1",
			engine.TrailEvent{Kind: engine.SessionOpened, Session: "s-1"}},
		{"of the group", "doorbuster.switches_set", "", engine.TrailEvent{Kind: engine.SwitchesSet}},
		{"a hole", "doorbuster.missing", "", engine.TrailEvent{Missing: 7}},
		{"odd words", "doorbuster.hold_placed", "o", engine.TrailEvent{Kind: engine.HoldPlaced, OrderNo: "o",
			Note: "\x00<\u2028\"\xff"}},
	} {
		c.event.TrailPosition = engine.TrailPosition{Index: 9}
		encoded, err := format.Encode(&sinks.Change{TrailEvent: c.event})
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(encoded, &event); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, encoded)
		}
		// What the specification requires is there, and what is optional is left out, not empty.
		for attribute, want := range map[string]string{"specversion": "1.0", "id": "9.0", "source": "/doorbuster/shop",
			"type": c.kind, "subject": c.subject} {
			if got, there := event[attribute]; there != (want != "") || there && got != want {
				t.Errorf("%s: %s is %v, want %q", c.name, attribute, got, want)
			}
		}
		for attribute, value := range event {
			if strings.ToLower(attribute) != attribute || value == "" {
				t.Errorf("%s: attribute %q: %v", c.name, attribute, value)
			}
		}
	}
	format.Data = func(*sinks.Change) ([]byte, error) { return nil, errors.New("no") }
	if _, err := format.Encode(&sinks.Change{}); err == nil || !strings.Contains(err.Error(), "event 0.0") {
		t.Error(err)
	}
	format.Data = func(*sinks.Change) ([]byte, error) { return []byte(`{"a":`), nil }
	if _, err := format.Encode(&sinks.Change{}); err == nil {
		t.Error("data that is no JSON was let through")
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("4711.1")
	f.Add("18446744073709551615.4294967295")
	f.Add("+1.2")
	f.Add("1.02")
	f.Add(" 1.2")
	f.Add("1.2 ")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := cloudevents.ParsePosition(s); err == nil && p.String() != s {
			t.Errorf("%q was read as %v", s, p)
		}
	})
}

func TestValidate(t *testing.T) {
	for source, want := range map[string]string{"": "must be a URI reference", "a b": "must be a URI reference",
		"https://a:b@c": "must not hold a password", "/doorbuster/shop": "", "urn:shop": "",
		"https://shop.example/x": ""} {
		err := (&cloudevents.Format{Source: source, Data: data}).Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", source, err)
		}
	}
}
