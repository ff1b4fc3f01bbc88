package input_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"doorbuster/httpapi/input"
)

func ExampleObject() {
	var order struct {
		Amount int64        `json:"amount"`
		PaidAt input.Moment `json:"paid_at"`
	}
	for _, text := range []string{`{"amount":1,"paid_at":"2026-09-20t02:15:00z","more":1}`, `{"amount":"1"}`,
		`{"paid_at":"soon"}`, `{"amount":}`, `{"amount":1`, `[]`, `{} {}`} {
		fmt.Printf("%q\n", input.Object([]byte(text), &order, false))
	}
	fmt.Printf("%q\n", input.Object([]byte(`{"more":1}`), &order, true))
	// Output:
	// ""
	// "the member \"amount\" can't be a string, at byte 13"
	// "\"soon\" is not a time such as 2026-09-20T02:15:00Z (RFC 3339), at byte 18"
	// "it is not JSON, at byte 11"
	// "it is not JSON: it ends too early, at byte 11"
	// "it must be a JSON object"
	// "it goes on after its object, at byte 2"
	// "it does not fit: unknown field \"more\", at byte 10"
}

// Times of RFC 3339 are read, whatever the case of their letters, and nothing else is.
func TestTimes(t *testing.T) {
	want, err := input.Time("2026-09-20T02:15:00.5Z")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"2026-09-20t02:15:00.5z", "2026-09-20T10:15:00.5+08:00",
		"2026-09-20t10:15:00.5+08:00"} {
		if got, err := input.Time(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "2026-09-20", "2026-09-20 02:15:00Z", "2026-09-20T02:15:00",
		strings.Repeat("9", 1000)} {
		if _, err := input.Time(text); err == nil || len(err.Error()) > 200 || strings.Contains(err.Error(),
			"parsing") {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	text, err := json.Marshal(struct {
		At input.Moment `json:"at,omitzero"`
	}{})
	if err != nil || string(text) != "{}" {
		t.Errorf("%s, %v", text, err)
	}
}

// Members are read to the letter of their names, and once: one program must not take
// another value out of a text than the next.
func TestMembersToTheLetter(t *testing.T) {
	type part struct {
		Units int `json:"units"`
	}
	type whole struct {
		part
		Amount *int64         `json:"amount"`
		At     input.Moment   `json:"at"`
		Parts  []part         `json:"parts"`
		Of     map[string]int `json:"of"`
		Plain  bool
	}
	for text, want := range map[string]string{
		`{"amount":1,"at":"2026-09-20T02:15:00Z","units":1,"parts":[{"units":1},{"units":2}],"of":{"a":1,"A":1},"Plain":true}`: "",
		`{"amount":1,"amount":2}`:               `the member "amount" is there twice`,
		`{"amount":1,"am\u006funt":2}`:          `the member "amount" is there twice`,
		`{"Amount":1,"amount":2}`:               `the member "Amount" must be written "amount"`,
		`{"AMOUNT":1}`:                          `the member "AMOUNT" must be written "amount"`,
		`{"unit` + "\u017f" + `":1}`:            "the member \"unit\u017f\" must be written \"units\"",
		`{"parts":[{"units":1},{"Units":2}]}`:   `the member "Units" must be written "units"`,
		`{"parts":[{"units":1,"units":2}]}`:     `the member "units" is there twice`,
		`{"of":{"a":1,"a":2}}`:                  `the member "a" is there twice`,
		`{"plain":true}`:                        `the member "plain" must be written "Plain"`,
		`{"more":1,"More":{"amount":1},"x":[]}`: "",
	} {
		if got := input.Object([]byte(text), &whole{}, false); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := input.Object([]byte(`{"Amount":1}`), &whole{},
		true); got != `the member "Amount" must be written "amount"` {
		t.Errorf("strictly: %q", got)
	}
}

// What a struct embeds has no name of its own in JSON, also where the embedded type is
// called as its member is.
func TestMembersOfWhatIsEmbedded(t *testing.T) {
	type Note struct {
		Note string `json:"note"`
	}
	type asked struct {
		Note
		Units int `json:"units"`
		Of    []struct{ Note }
	}
	for text, want := range map[string]string{
		`{"note":"a","units":1}`:         "",
		`{"note":"a","note":"b"}`:        `the member "note" is there twice`,
		`{"Note":"a"}`:                   `the member "Note" must be written "note"`,
		`{"note":5}`:                     `the member "note" can't be a number, at byte 9`,
		`{"Of":[{"note":5}]}`:            `the member "Of.note" can't be a number, at byte 16`,
		`{"Of":[{"note":"","note":""}]}`: `the member "note" is there twice`,
	} {
		if got := input.Object([]byte(text), &asked{}, true); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
