package httpapi

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func TestSwitchesAreListed(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/admin/v1/switches", "")
	var got wire.Switchboard
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	if len(got.Switches) != engine.SwitchCount || got.ActiveProfile != "rush" || len(got.Profiles) != 1 ||
		len(got.History) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, v := range got.Switches {
		if v.Help == "" || (v.Allowed == nil) == (v.Most == nil) {
			t.Errorf("%+v says not what it is or may be", v)
		}
		switch v.Name {
		case "tickets":
			if v.Value != "always" || v.Normal != "planned" {
				t.Errorf("%+v", v)
			}
		case "rate_limits":
			if v.Value != "50" || v.Normal != "100" || *v.Most != 1000 {
				t.Errorf("%+v", v)
			}
		}
	}
	newest := got.History[0]
	if newest.LogIndex != 4711 || newest.Operator != "ada" || newest.Note != "bots" || newest.Action != "profile" ||
		newest.Profile != "rush" ||
		!reflect.DeepEqual(newest.Changed, []wire.SwitchChange{
			{Name: "rate_limits", Before: "100", After: "50"}, {Name: "tickets", Before: "planned", After: "always"}}) {
		t.Errorf("%+v", newest)
	}
}

func TestSwitchesAreTurned(t *testing.T) {
	set := func(w engine.Switch, v int64) []engine.Setting { return []engine.Setting{{Switch: w, Value: v}} }
	for name, c := range map[string]struct {
		method, path, body string
		want               engine.SwitchChange
		note               string
	}{
		"number": {"PATCH", "/admin/v1/switches", `{"switches":{"rate_limits":50},"note":"bots"}`,
			engine.SwitchChange{Action: engine.SwitchSet, Settings: set(engine.SwitchRates, 50)}, "bots"},
		"word": {"PATCH", "/admin/v1/switches", `{"switches":{"tickets":"always"}}`,
			engine.SwitchChange{Action: engine.SwitchSet, Settings: set(engine.SwitchTickets, 2)}, ""},
		"boolean": {"PATCH", "/admin/v1/switches", `{"switches":{"risk_lists":false}}`,
			engine.SwitchChange{Action: engine.SwitchSet, Settings: set(engine.SwitchRiskLists, 0)}, ""},
		"back": {"POST", "/admin/v1/switches/back", `{"note":"over"}`,
			engine.SwitchChange{Action: engine.SwitchBack}, "over"},
		"normal": {"POST", "/admin/v1/switches/normal", "", engine.SwitchChange{Action: engine.SwitchNormal}, ""},
		"profile": {"POST", "/admin/v1/profiles/rush/apply", "", engine.SwitchChange{Action: engine.SwitchProfile,
			Profile: "rush"}, ""},
		"define": {"PUT", "/admin/v1/profiles/calm", `{"switches":{"precheck":"off"}}`,
			engine.SwitchChange{Action: engine.ProfileDefine, Profile: "calm", Settings: set(engine.SwitchPrecheck, 0)},
			""},
		"forget": {"DELETE", "/admin/v1/profiles/rush", "", engine.SwitchChange{Action: engine.ProfileForget,
			Profile: "rush"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{}
			var said strings.Builder
			s := newTestAdmin(t, f, func(cfg *AdminConfig) { cfg.Logger = slog.New(slog.NewJSONHandler(&said, nil)) })
			w := askAdmin(s, c.method, c.path, c.body)
			if w.Code != 200 || !strings.Contains(w.Body.String(), `"switches":[`) {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if !reflect.DeepEqual(f.switched, c.want) || f.note != c.note || f.operator != "dev" {
				t.Errorf("asked %+v, note %q, as %q; want %+v", f.switched, f.note, f.operator, c.want)
			}
			if !strings.Contains(said.String(), `"switches changed"`) || !strings.Contains(said.String(),
				`"operator":"dev"`) {
				t.Errorf("the log says %s", said.String())
			}
		})
	}
}

func TestBadSwitches(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		slug               string
		says               []string
	}{
		"unknown": {"PATCH", "/admin/v1/switches",
			`{"switches":{"turbo":"on","tickets":"maybe","rate_limits":1001}}`, 400, "malformed",
			[]string{`no switch \"turbo\"`, "off, planned, always", "0 to 1000"}},
		"none": {"PATCH", "/admin/v1/switches", `{"switches":{}}`, 400, "malformed",
			[]string{"Name switches"}},
		"no body": {"PATCH", "/admin/v1/switches", "", 400, "malformed", []string{"Name switches"}},
		"a fraction": {"PATCH", "/admin/v1/switches", `{"switches":{"rate_limits":1.5}}`, 400, "malformed",
			[]string{"whole number"}},
		"a list": {"PATCH", "/admin/v1/switches", `{"switches":{"tickets":["on"]}}`, 400, "malformed",
			[]string{"off, planned, always"}},
		"unknown member": {"PATCH", "/admin/v1/switches", `{"switch":{"tickets":"off"}}`, 400, "malformed", nil},
		"bad note": {"PATCH", "/admin/v1/switches", `{"switches":{"tickets":"off"},"note":"\u0007"}`, 400,
			"malformed", nil},
		"bad name": {"PUT", "/admin/v1/profiles/-", `{"switches":{"tickets":"off"}}`, 400, "malformed",
			[]string{"A profile's name"}},
		"not there":    {"GET", "/admin/v1/profiles/calm", "", 404, "not-found", nil},
		"wrong method": {"POST", "/admin/v1/switches", `{}`, 405, "method", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{}
			w := askAdmin(newTestAdmin(t, f), c.method, c.path, c.body)
			wantAdminProblem(t, w, c.status, c.slug)
			for _, part := range c.says {
				if !strings.Contains(w.Body.String(), part) {
					t.Errorf("%s does not say %s", w.Body, part)
				}
			}
			if f.switched.Action != 0 {
				t.Errorf("it was asked for %+v", f.switched)
			}
		})
	}
	w := askAdmin(newTestAdmin(t, &fakeOperator{err: &engine.Refusal{Reason: engine.ReasonUnknown}}), "POST",
		"/admin/v1/profiles/calm/apply", "")
	wantAdminProblem(t, w, 404, "not-found")
	if !strings.Contains(w.Body.String(), "/admin/v1/profiles") {
		t.Errorf("%s", w.Body)
	}
	w = askAdmin(newTestAdmin(t, &fakeOperator{}), "PATCH", "/admin/v1/switches", `switches=off`, "Content-Type",
		"application/x-www-form-urlencoded")
	wantAdminProblem(t, w, 415, "media-type")
}
