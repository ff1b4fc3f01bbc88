package httpapi

import (
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

func TestRefusals(t *testing.T) {
	day, since := fakeNow, fakeNow.Add(-time.Hour)
	refused := func(sku string, why engine.Reason, last engine.Time, n uint32) engine.Refused {
		return engine.Refused{Session: "fans-day-10", SKU: sku, Code: engine.CodeOf(why), Reason: why, First: day,
			Last: last, Count: n}
	}
	whole := engine.RefusalReport{On: true, Since: since, Entries: 2, Capacity: 8}
	const head = `{"shopper":"ann","refusals":[`
	const noted = `Each node remembers what it refused itself, in memory, since the time given for it.`
	const a1 = `{"node":"a1","answered":true,"noting":true,"since":"2026-09-20T01:00:00Z","entries":2,"capacity":8,"lost":0}`
	for name, c := range map[string]struct {
		told []NodeRefusals
		want string
	}{
		"nothing": {[]NodeRefusals{{Node: "a1", Report: whole}}, head + `],"nodes":[` + a1 +
			`],"complete":true,"note":"` + noted + `"}`},
		"newest first, of all nodes": {
			[]NodeRefusals{
				{Node: "a1", Report: func() engine.RefusalReport {
					r := whole
					r.Refused = []engine.Refused{refused("mask-50", engine.ReasonQuota, day.Add(time.Minute), 3),
						refused("lamp", engine.ReasonGone, day, 1)}
					return r
				}()},
				{Node: "a2", Report: engine.RefusalReport{On: true, Since: since, Capacity: 8,
					Refused: []engine.Refused{refused("mask-50", engine.ReasonLimitSession, day.Add(time.Second),
						65535)}}},
			},
			head + `{"node":"a1","session":"fans-day-10","sku":"mask-50","code":"missed","reason":"quota","first":"2026-09-20T02:00:00Z","last":"2026-09-20T02:01:00Z","count":3},` +
				`{"node":"a2","session":"fans-day-10","sku":"mask-50","code":"limit_reached","reason":"limit_session","first":"2026-09-20T02:00:00Z","last":"2026-09-20T02:00:01Z","count":65535},` +
				`{"node":"a1","session":"fans-day-10","sku":"lamp","code":"sold_out","reason":"gone","first":"2026-09-20T02:00:00Z","last":"2026-09-20T02:00:00Z","count":1}` +
				`],"nodes":[` + a1 + `,{"node":"a2","answered":true,"noting":true,"since":"2026-09-20T01:00:00Z","entries":0,"capacity":8,"lost":0}],"complete":true,"note":"` + noted + `"}`,
		},
		"a node that is down": {
			[]NodeRefusals{{Node: "a1", Report: whole}, {Node: "b1", Error: "connection refused"}},
			head + `],"nodes":[` + a1 + `,{"node":"b1","answered":false,"noting":false,"entries":0,"capacity":0,"lost":0,"error":"connection refused"}],` +
				`"complete":false,"note":"` + noted + ` b1 did not answer: what it refused is not here."}`,
		},
		"what was lost, left out, turned off and never there": {
			[]NodeRefusals{
				{Node: "a1", Report: engine.RefusalReport{On: true, Since: since, Entries: 8, Capacity: 8, Lost: 5,
					LeftOut: 2}},
				{Node: "a2", Report: engine.RefusalReport{Since: since, Capacity: 8}}, {Node: "b1"},
			},
			head + `],"nodes":[{"node":"a1","answered":true,"noting":true,"since":"2026-09-20T01:00:00Z","entries":8,"capacity":8,"lost":5,"left_out":2},` +
				`{"node":"a2","answered":true,"noting":false,"since":"2026-09-20T01:00:00Z","entries":0,"capacity":8,"lost":0},` +
				`{"node":"b1","answered":true,"noting":false,"entries":0,"capacity":0,"lost":0}],"complete":false,"note":"` + noted +
				` a1 has lost 5 entries to newer ones, of all shoppers: there may have been more. a1 has 2 older ones of this shopper for which there was no room.` +
				` a2 notes nothing: its journal is turned off. b1 has no journal (journal_entries: 0)."}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeCluster{refused: c.told}
			w := askAdmin(newTestAdmin(t, &fakeOperator{}, func(cfg *AdminConfig) { cfg.Cluster = f }), "GET",
				"/admin/v1/refusals?shopper=ann", "")
			if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != 200 || got != c.want {
				t.Errorf("status %d\n got %s\nwant %s", w.Code, got, c.want)
			}
			if f.shopper != "ann" || f.session != "" {
				t.Errorf("asked for %q in %q", f.shopper, f.session)
			}
		})
	}
}

func TestRefusalsAsked(t *testing.T) {
	f := &fakeCluster{}
	s := newTestAdmin(t, &fakeOperator{}, func(cfg *AdminConfig) { cfg.Cluster = f })
	w := askAdmin(s, "GET", "/admin/v1/refusals?shopper=a%2Fb%3Fc&session=fans-day-10", "")
	if w.Code != 200 || f.shopper != "a/b?c" || f.session != "fans-day-10" || !strings.Contains(w.Body.String(),
		`"session":"fans-day-10"`) {
		t.Errorf("asked for %q in %q: %d %s", f.shopper, f.session, w.Code, w.Body)
	}
	for _, query := range []string{"", "?shopper=", "?shopper=a%20b", "?shopper=" +
		strings.Repeat("x", engine.MaxShopperBytes+1), "?shopper=ann&session=a%20b"} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/refusals"+query, ""), 400, "malformed")
	}
	wantAdminProblem(t, askAdmin(s, "POST", "/admin/v1/refusals?shopper=ann", ""), 405, "method")
}
