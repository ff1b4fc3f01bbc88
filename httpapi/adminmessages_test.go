package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
	"doorbuster/httpapi/wire"
)

func TestAdminMessages(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/admin/v1/messages", "")
	var told struct{ Messages []wire.Message }
	if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || w.Code != 200 ||
		len(told.Messages) != int(messages.Messages) {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	for _, want := range []wire.Message{
		{Name: "limit_reached", Placeholders: []string{"count", "scope"},
			Shop: map[string]string{"en": messages.LimitReached.Shop(english),
				"zh": messages.LimitReached.Shop(chinese)}, Sales: map[string]wire.Text{}},
		{Name: "missed", Placeholders: []string{}, Shop: map[string]string{"en": messages.Missed.Shop(english),
			"zh": messages.Missed.Shop(chinese)}, Sales: map[string]wire.Text{"fans-day": {"en": "Not today."}}},
	} {
		m, _ := messages.Named(want.Name)
		if got := told.Messages[m]; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

func TestSetMessage(t *testing.T) {
	changes := []engine.Change{{Path: "sales[fans-day].messages.missed.en", Before: "Not today.", After: "Sorry."}}
	f := &fakeOperator{changes: changes}
	s := newTestAdmin(t, f)
	const path, changed = "/admin/v1/messages/fans-day/granted",
		`{"applied":true,"dry_run":false,"changes":[{"path":"sales[fans-day].messages.missed.en","before":"Not today.","after":"Sorry."}]}` + "\n"
	w := askAdmin(s, "PUT", path, `{"text":{"zh":"{pay_within}内付款","en":"Yours!"}}`)
	want := engine.Message{Name: "granted", Text: engine.Text{{Lang: "en", Text: "Yours!"},
		{Lang: "zh", Text: "{pay_within}内付款"}}}
	if w.Code != 200 || w.Body.String() != changed || f.operator != "dev" || f.sale != "fans-day" ||
		!reflect.DeepEqual(f.message, want) {
		t.Errorf("status %d: %s; asked by %s for %s: %+v", w.Code, w.Body, f.operator, f.sale, f.message)
	}
	w = askAdmin(s, "DELETE", path, "")
	if w.Code != 200 || w.Body.String() != changed || !reflect.DeepEqual(f.message, engine.Message{Name: "granted"}) {
		t.Errorf("status %d: %s; asked for %+v", w.Code, w.Body, f.message)
	}

	for name, c := range map[string]struct {
		method, path, body string
		status             int
		slug, says         string
	}{
		"unknown message": {"PUT", "/admin/v1/messages/fans-day/mist", `{"text":{"en":"Sorry."}}`, 404, "not-found",
			"/admin/v1/messages"},
		"unknown reset":  {"DELETE", "/admin/v1/messages/fans-day/mist", "", 404, "not-found", "/admin/v1/messages"},
		"unknown sale":   {"PUT", "/admin/v1/messages/none/missed", `{"text":{"en":"Sorry."}}`, 404, "not-found", ""},
		"nothing":        {"PUT", path, "", 400, "malformed", "DELETE goes back"},
		"no text":        {"PUT", path, `{"text":{}}`, 400, "malformed", "DELETE goes back"},
		"unknown member": {"PUT", path, `{"texts":{"en":"Sorry."}}`, 400, "malformed", "texts"},
		"no JSON":        {"PUT", path, `en: Sorry.`, 400, "malformed", ""},
		"all wrong": {"PUT", path, `{"text":{"zh":"{start}","en":"Yours {","fr":"Bientôt."}}`, 422, "plan",
			`"problems":[{"path":"sales[fans-day].messages.granted.en","message":"has a { without its }; braces are for placeholders only, here there is {pay_within}"},` +
				`{"path":"sales[fans-day].messages.granted.fr","message":"nobody is spoken to in this language; it is en or zh"},` +
				`{"path":"sales[fans-day].messages.granted.zh","message":"{start} is no placeholder of granted; here there is {pay_within}"}]`},
		"a line break": {"PUT", path, `{"text":{"en":"a\nb"}}`, 422, "plan", "line break"},
		"too long": {"PUT", path, `{"text":{"en":"` + strings.Repeat("x", engine.MaxTextBytes+1) + `"}}`, 422,
			"plan", "1025 bytes are over 1024"},
		"by POST": {"POST", path, `{"text":{"en":"Sorry."}}`, 405, "method", "PUT, DELETE"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{}
			w := askAdmin(newTestAdmin(t, f), c.method, c.path, c.body)
			wantAdminProblem(t, w, c.status, c.slug)
			if !strings.Contains(w.Body.String(), c.says) || f.message.Name != "" {
				t.Errorf("%s; asked for %+v", w.Body, f.message)
			}
		})
	}
	f.problems = []engine.Problem{{Path: "plan", Message: "upgrade every node first"}}
	w = askAdmin(s, "PUT", path, `{"text":{"en":"Yours!"}}`)
	if wantAdminProblem(t, w, 422, "plan"); !strings.Contains(w.Body.String(), "upgrade every node first") {
		t.Error(w.Body)
	}
}
