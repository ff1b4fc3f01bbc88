package openapi

import (
	"strings"
	"testing"

	"doorbuster/httpapi/wire"
)

type thing struct {
	Name  string `json:"name"`
	State string `json:"state,omitempty" jsonschema:"enum=states"`
}

type titled struct {
	Title string `json:"title"`
}

// TestAMemberOfTheType is described by the name that it has in JSON: one that is renamed in
// code alone makes another document.
func TestAMemberOfTheType(t *testing.T) {
	make := func(v any) string {
		text, err := Document([]wire.Operation{{Method: "GET", Path: "/things/{id}", Tag: "operations", ID: "getThing",
			Summary: "A thing", Answers: []wire.Answer{{Status: 200, Bodies: wire.Bodies{wire.JSON: {v}}}},
			Problems: "404"}},
			nil, map[string][]string{"states": {"new", "old"}})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(text)), "")
	}
	if got := make(thing{}); !strings.Contains(got,
		`"thing":{"properties":{"name":{"type":"string"},"state":{"enum":["new",`+
			`"old"],"type":"string"}},"required":["name"],"type":"object"}`) {
		t.Error(got)
	}
	if got := make(titled{}); !strings.Contains(got, `"required":["title"]`) {
		t.Error(got)
	}
}

// TestWhatIsWrong is told all at once.
func TestWhatIsWrong(t *testing.T) {
	op := wire.Operation{Method: "GET", Path: "/things/{thing}", ID: "getThing", Summary: "A thing", Problems: "499",
		Answers: []wire.Answer{{Status: 200, Bodies: wire.Bodies{wire.JSON: {thing{}}}}}}
	_, err := Document([]wire.Operation{op, op}, nil, nil)
	for _, want := range []string{`the id "getThing" stands twice`, "nothing describes {thing}",
		"no list of words states",
		"no problem of status 499"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSentence(t *testing.T) {
	for comment, want := range map[string]string{
		"Order is what a shopper sees": "What a shopper sees.",
		"minor units":                  "Minor units.",
		"not_open: when it starts.":    "not_open: when it starts.",
		"waitlisted, entered: where":   "waitlisted, entered: where.",
		"hold_placed, or missing":      "hold_placed, or missing.",
		"":                             "",
	} {
		if got := sentence("Order", comment); got != want {
			t.Errorf("%q makes %q, want %q", comment, got, want)
		}
	}
}
