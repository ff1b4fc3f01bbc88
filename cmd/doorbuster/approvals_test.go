package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// offices is a shop of several operators, each with a token of their own.
type offices struct {
	*nodetest.Shop
	tokens, files map[string]string // by name
}

// openOffices opens a shop whose changes await approval as flags say, with two operators, an
// admin and a viewer.
func openOffices(t *testing.T, flags ...string) *offices {
	t.Helper()
	opsKey := nodetest.TempFile(t, strings.Repeat("o", 32))
	o := &offices{tokens: map[string]string{}, files: map[string]string{}}
	o.Shop = runShop(t, append([]string{"serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--log-format", "json", "--shopper-key-file", nodetest.TempFile(t, strings.Repeat("s", 32)),
		"--ops-key-file", opsKey}, flags...))
	o.AwaitServing()
	for name, role := range map[string]string{"ann": "operator", "bo": "operator", "cy": "admin", "vic": "viewer"} {
		status, out, errs := runTool(t, "", "token", "--sub", name, "--role", role, "--key-file", opsKey)
		if status != 0 {
			t.Fatal(errs)
		}
		o.tokens[name], o.files[name] = strings.TrimSpace(out), nodetest.TempFile(t, out)
	}
	return o
}

// as asks the operations API in somebody's name; header is pairs of names and values.
func (o *offices) as(name, method, path, body string, header ...string) nodetest.Reply {
	o.T.Helper()
	kind := "application/json"
	if strings.HasPrefix(body, "products:") || strings.HasPrefix(body, "sales:") {
		kind = "application/yaml"
	}
	return o.Do(method, "http://"+o.Admin+"/admin/v1"+path, body, append(header, "Content-Type", kind,
		"Authorization", "Bearer "+o.tokens[name])...)
}

// must is as for what is answered with a status; it reads the answer.
func must[A any](o *offices, status int, name, what, body string, header ...string) (answer A) {
	o.T.Helper()
	method, path, _ := strings.Cut(what, " ")
	a := o.as(name, method, path, body, header...)
	if a.Status != status {
		o.T.Fatalf("%s by %s: %d, not %d: %s", what, name, a.Status, status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil {
		o.T.Fatal(err)
	}
	return answer
}

// tool runs a command in somebody's name.
func (o *offices) tool(name string, args ...string) (status int, out, errs string) {
	o.T.Helper()
	return runTool(o.T, "", append(args, "--admin", o.Admin, "--token-file", o.files[name])...)
}

// TestPlansAwaitApproval: a plan from a size on is made once another operator has approved it,
// exactly as it was asked for; asked for again, with its key or without, it is the same one.
func TestPlansAwaitApproval(t *testing.T) {
	o := openOffices(t, "--approvals-plan-units", "100")
	small, large := nodetest.Masks(99), nodetest.Masks(100)
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", small)
	dry := must[wire.PlanChanges](o, 200, "ann", "POST /plan?dry_run=true", large)
	if len(dry.NeedsApproval) != 1 || len(dry.Changes) != 1 {
		t.Errorf("%+v", dry)
	}
	asked := must[wire.Approval](o, 202, "ann", "POST /plan", large, "Idempotency-Key", "k")
	if asked.ID != 1 || asked.Kind != "plan" || asked.State != "pending" || asked.By != "ann" || asked.MayApprove ||
		len(asked.Changes) != 1 || asked.Changes[0].After != "100" || asked.Expires <= asked.At {
		t.Errorf("%+v", asked)
	}
	for _, again := range [][]string{{"Idempotency-Key", "k"}, nil, {"Idempotency-Key", "other"}} {
		if got := must[wire.Approval](o, 202, "ann", "POST /plan", large, again...); got.ID != 1 {
			t.Errorf("asked again with %v: %+v", again, got)
		}
	}
	o.refuses(403, "ann", "POST /approvals/1/approve", `{}`, "own-approval")
	o.refuses(403, "vic", "POST /approvals/1/approve", `{}`, "forbidden")
	o.refuses(404, "bo", "POST /approvals/7/approve", `{}`, "not-found")
	o.refuses(404, "bo", "POST /approvals/x/approve", `{}`, "not-found")
	o.refuses(404, "bo", "GET /approvals/0", "", "not-found")
	o.refuses(400, "bo", "GET /approvals?state=done", "", "malformed")
	o.refuses(400, "bo", "POST /approvals/1/approve", `{"note":"`+strings.Repeat("x", 1025)+`"}`, "malformed")
	o.refuses(400, "bo", "POST /approvals/1/approve", `{"note":"a\u0000b"}`, "malformed")
	o.refuses(400, "bo", "POST /approvals/1/approve", `{"why":"x"}`, "malformed")
	if c := o.stock("mask"); c != 99 {
		t.Errorf("%d units before anybody has approved", c)
	}
	if got := must[wire.Approval](o, 200, "vic", "GET /approvals/1", ""); got.MayApprove || len(got.Changes) != 1 {
		t.Errorf("a viewer sees %+v", got)
	}
	if got := must[wire.Approval](o, 200, "bo", "GET /approvals/1", ""); !got.MayApprove {
		t.Errorf("bo sees %+v", got)
	}
	const script = `{"note":"<script>alert(1)</script>"}`
	done := must[wire.Approval](o, 200, "bo", "POST /approvals/1/approve", script, "Idempotency-Key", "yes")
	if done.State != "approved" || done.DecidedBy != "bo" || len(done.Changes) != 1 || o.stock("mask") != 100 {
		t.Errorf("%+v of %d units", done, o.stock("mask"))
	}
	if a := o.as("cy", "GET", "/approvals/1", ""); strings.Contains(a.Body, "<script>") {
		t.Error(a.Body)
	}
	for name, key := range map[string]string{"bo": "yes", "ann": ""} { // no answer had come
		path, body, status := "/approvals/1/approve", script, 200
		if name == "ann" {
			path, body, status, key = "/plan", large, 200, "new" // nothing is left to be changed
		}
		if a := o.as(name, "POST", path, body, "Idempotency-Key", key); a.Status != status {
			t.Errorf("%s again: %d %s", name, a.Status, a.Body)
		}
	}
	if got := must[wire.Approval](o, 202, "ann", "POST /plan", large, "Idempotency-Key", "k"); got.State != "approved" {
		t.Errorf("asked for again once it is approved: %+v", got)
	}
	o.refuses(409, "cy", "POST /approvals/1/approve", `{}`, "conflict")
	o.refuses(409, "cy", "POST /approvals/1/reject", `{}`, "conflict")
	o.trailNames("approval_asked", "ann", "approval 1: ")
	o.trailNames("plan_applied", "bo", "approve approval 1, a plan of 1 changes, to 1 listings of 100 units, asked "+
		"for by ann; before: pending; sales[sale].sessions[day].listings[mask].stock: 99 to 100")
}

// refuses asks for what is refused, with the problem of a kind, and changes nothing.
func (o *offices) refuses(status int, name, what, body, kind string) {
	o.T.Helper()
	method, path, _ := strings.Cut(what, " ")
	a := o.as(name, method, path, body)
	if a.Status != status || !strings.Contains(a.Body, "urn:doorbuster:problem:"+kind) {
		o.T.Errorf("%s %s by %s: %d %s", method, path, name, a.Status, a.Body)
	}
}

func (o *offices) stock(sku string) int64 {
	o.T.Helper()
	return must[wire.Counts](o, 200, "vic", "GET /sessions/day/skus/"+sku, "").Stock
}

// trailNames looks for an event of an operator's.
func (o *offices) trailNames(kind, operator, detail string) {
	o.T.Helper()
	o.Eventually(func() bool {
		for _, e := range must[wire.TrailPage](o, 200, "vic", "GET /audit?operator="+operator, "").Events {
			if e.Kind == kind && strings.HasPrefix(e.Detail, detail) {
				return true
			}
		}
		return false
	}, func() string { return o.as("vic", "GET", "/audit?operator="+operator, "").Body })
}

// TestEndsAndWordsAwaitApproval: at their own routes, and in a plan; two who approve at once are
// one who did and one who hears of it.
func TestEndsAndWordsAwaitApproval(t *testing.T) {
	o := openOffices(t, "--approvals-words", "--approvals-end-session")
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", nodetest.Masks(5))
	words := must[wire.Approval](o, 202, "ann", "PUT /messages/sale/sold_out", `{"text":{"en":"Gone."}}`)
	end := must[wire.Approval](o, 202, "bo", "POST /sessions/day/end", `{"note":"enough"}`)
	if words.Kind != "words" || end.Kind != "end_session" || end.Session != "day" || end.Note != "enough" ||
		len(end.Changes) != 1 || end.Changes[0] != (wire.PlanChange{
		Path: "sales[sale].sessions[day].state", Before: "open", After: "ended"}) {
		t.Errorf("%+v\n%+v", words, end)
	}
	must[wire.Approval](o, 200, "ann", "POST /approvals/1/reject", `{"note":"a slip"}`) // one's own
	if got := must[wire.Approvals](o, 200, "vic", "GET /approvals?state=pending", ""); len(got.Approvals) != 1 ||
		got.Approvals[0].ID != end.ID || !got.Rules.Words || !got.Rules.EndSession || got.Rules.PlanUnits != 0 {
		t.Errorf("%+v", got)
	}
	var both sync.WaitGroup
	statuses := make([]int, 2)
	for i, name := range []string{"ann", "cy"} {
		both.Go(func() { statuses[i] = o.as(name, "POST", "/approvals/2/approve", `{}`).Status })
	}
	both.Wait()
	if fmt.Sprint(statuses) != "[200 409]" && fmt.Sprint(statuses) != "[409 200]" {
		t.Errorf("two at once: %v", statuses)
	}
	if got := must[wire.OpsSession](o, 200, "vic", "GET /sessions/day", ""); got.State != "ended" {
		t.Errorf("%+v", got)
	}
	must[wire.Approval](o, 202, "ann", "POST /plan", nodetest.Masks(5)+
		"    messages: {sold_out: {en: Gone.}}\n")
}

// TestApprovalsByCommand: the commands say what to do, and that nothing was changed.
func TestApprovalsByCommand(t *testing.T) {
	o := openOffices(t, "--approvals-plan-listings", "1")
	file := nodetest.TempFile(t, nodetest.Masks(5))
	status, out, errs := o.tool("ann", "apply", "-f", file, "--json")
	var asked wire.Approval
	if err := json.Unmarshal([]byte(out), &asked); err != nil || status != 1 || asked.ID != 1 ||
		!strings.Contains(errs, "nothing was changed yet: another operator must approve it, by 'doorbuster approvals "+
			"approve 1'\n  it changes 1 listings, from 1 on (approvals.plan_listings)") {
		t.Errorf("%d %s%s", status, out, errs)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"vic", []string{"list", "--state", "pending"}, 0, "1   pending  a plan of "},
		{"vic", []string{"show", "1"}, 0, "+ sales[sale].sessions[day].listings[mask]"},
		{"vic", []string{"approve", "1"}, 1, "403"},
		{"ann", []string{"approve", "1"}, 1, "another operator must approve it"},
		{"bo", []string{"approve"}, 2, "name one approval by its number"},
		{"bo", []string{"approve", "-1"}, 2, "unknown shorthand"},
		{"bo", []string{"list", "--state", "x"}, 2, "is not pending"},
		{"bo", []string{"show", "4"}, 1, "No approval has this number"},
		{"bo", []string{"approve", "1", "--note", "as agreed"}, 0, "approved by bo at "},
		{"cy", []string{"reject", "1"}, 1, "bo has approved it at"},
		{"bo", []string{"list"}, 0, "approved  a plan of "},
	} {
		status, out, errs := o.tool(c.name, append([]string{"approvals"}, c.args...)...)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: approvals %v: %d %s%s", c.name, c.args, status, out, errs)
		}
	}
	if status, _, errs := o.tool("ann", "apply", "-f", file); status != 0 {
		t.Errorf("there is nothing left to change: %s", errs)
	}
}

// TestChangedBaseIsRefused: two operators at one session.
func TestChangedBaseIsRefused(t *testing.T) {
	o := openOffices(t, "--approvals-plan-units", "10")
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", nodetest.Masks(5))
	must[wire.Approval](o, 202, "ann", "POST /plan", nodetest.Masks(50))
	must[wire.Counts](o, 200, "bo", "POST /sessions/day/skus/mask/stock", `{"units":3}`)
	got := must[wire.Approval](o, 200, "bo", "GET /approvals/1", "")
	if !got.BaseChanged || len(got.Changes) != 1 || got.Changes[0].Before != "8 (5 in the last plan)" {
		t.Errorf("%+v", got)
	}
	o.refuses(409, "bo", "POST /approvals/1/approve", `{}`, "base-changed")
	must[wire.PlanChanges](o, 200, "bo", "POST /sessions/day/end", `{}`)
	o.refuses(422, "bo", "POST /approvals/1/approve", `{}`, "plan")
	if got := must[wire.Approval](o, 200, "bo", "GET /approvals/1", ""); got.State != "pending" ||
		len(got.Problems) == 0 {
		t.Errorf("%+v", got)
	}
	must[wire.Approval](o, 200, "cy", "POST /approvals/1/reject", `{}`)
	if o.stock("mask") != 8 {
		t.Errorf("%d units", o.stock("mask"))
	}
}

// TestHistoryAndBack: what plans, words and switches have changed, by whom and approved by
// whom; one step back by its diff, and refused where it can't be, which changes nothing.
func TestHistoryAndBack(t *testing.T) {
	o := openOffices(t, "--approvals-plan-units", "100")
	o.refuses(422, "ann", "POST /plan/back", `{}`, "plan") // none was applied
	o.refuses(403, "vic", "POST /plan/back", `{}`, "forbidden")
	o.refuses(403, "vic", "POST /messages/sale/sold_out/back", "", "forbidden")
	o.refuses(404, "ann", "POST /messages/sale/nonsense/back", "", "not-found")
	o.refuses(404, "ann", "POST /messages/none/sold_out/back", "", "not-found")
	o.refuses(400, "ann", "GET /history?kind=x", "", "malformed")
	o.refuses(400, "ann", "GET /history?before=x", "", "malformed")
	o.refuses(400, "ann", "POST /plan/back", `{"of":-1}`, "malformed")
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", nodetest.Masks(50))
	o.refuses(409, "ann", "POST /messages/sale/sold_out/back", "", "conflict")
	must[wire.Approval](o, 202, "ann", "POST /plan", nodetest.Masks(100)+"    messages: {sold_out: {en: Gone.}}\n")
	must[wire.Approval](o, 200, "bo", "POST /approvals/1/approve", `{}`)
	must[wire.PlanChanges](o, 200, "cy", "PUT /messages/sale/sold_out", `{"text":{"en":"All gone."}}`)
	must[wire.Switchboard](o, 200, "cy", "PATCH /switches", `{"switches":{"rate_limits":50},"note":"<b>bots</b>"}`)

	all := must[wire.History](o, 200, "vic", "GET /history", "")
	if len(all.Entries) != 4 || all.Before != "" || all.KeptSince != "" {
		t.Fatalf("%+v", all)
	}
	for i, want := range []wire.HistoryEntry{
		{Kind: "switches", Action: "set", By: "cy", Note: "<b>bots</b>",
			Changes: []wire.PlanChange{{Path: "switches.rate_limits", Before: "100", After: "50"}}},
		{Kind: "words", Action: "set", By: "cy", Changes: []wire.PlanChange{
			{Path: "sales[sale].messages.sold_out.en", Before: "Gone.", After: "All gone."}}},
		{Kind: "plan", Action: "apply", By: "ann", ApprovedBy: "bo", Approval: 1, Changes: []wire.PlanChange{
			{Path: "sales[sale].messages.sold_out.en", After: "Gone."},
			{Path: "sales[sale].sessions[day].listings[mask].stock", Before: "50", After: "100"}}},
		{Kind: "plan", Action: "apply", By: "ann", Changes: all.Entries[3].Changes},
	} {
		got := all.Entries[i]
		if want.LogIndex, want.At = got.LogIndex, got.At; !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
	if got := must[wire.History](o, 200, "vic", "GET /history?kind=words", ""); len(got.Entries) != 2 ||
		len(got.Entries[1].Changes) != 1 {
		t.Errorf("words: %+v", got)
	}
	var paged []wire.HistoryEntry
	for before := ""; ; {
		page := must[wire.History](o, 200, "vic", "GET /history?limit=1"+before, "")
		paged = append(paged, page.Entries...)
		if before = "&before=" + page.Before; page.Before == "" {
			break
		}
	}
	if !reflect.DeepEqual(paged, all.Entries) {
		t.Errorf("by pages: %+v", paged)
	}

	back := must[wire.PlanChanges](o, 200, "ann", "POST /messages/sale/sold_out/back", "")
	if len(back.Changes) != 1 || back.Changes[0].After != "Gone." {
		t.Errorf("%+v", back)
	}
	dry := must[wire.PlanBack](o, 200, "ann", "POST /plan/back?dry_run=true", `{}`)
	if dry.Applied || len(dry.NeedsApproval) != 1 || dry.Plan.By != "ann" ||
		dry.Plan.Index != all.Entries[2].LogIndex || len(dry.Changes) != 2 || o.stock("mask") != 100 {
		t.Errorf("%+v", dry)
	}
	o.refuses(409, "ann", "POST /plan/back", `{"of":1}`, "base-changed")
	body := fmt.Sprintf(`{"of":%d,"note":"wrong figures"}`, dry.Plan.Index)
	must[wire.Approval](o, 202, "ann", "POST /plan/back", body)
	done := must[wire.Approval](o, 200, "bo", "POST /approvals/2/approve", `{}`)
	if done.Kind != "plan_back" || len(done.Changes) != 2 || o.stock("mask") != 50 {
		t.Errorf("%+v", done)
	}
	last := must[wire.History](o, 200, "vic", "GET /history?limit=1", "").Entries[0]
	if last.Action != "back" || last.By != "ann" || last.ApprovedBy != "bo" || last.Note != "wrong figures" {
		t.Errorf("%+v", last)
	}
	o.trailNames("plan_applied", "bo", "approve approval 2, back from the plan of log index ")
	o.refuses(422, "ann", "POST /plan/back", `{}`, "plan") // one step
}

// TestBackByCommand: the commands tell which plan they take back, and why they can't.
func TestBackByCommand(t *testing.T) {
	o := openOffices(t)
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", nodetest.Masks(5))
	must[wire.PlanChanges](o, 200, "ann", "POST /plan", nodetest.Masks(9))
	index := must[wire.History](o, 200, "vic", "GET /history?limit=1", "").Entries[0].LogIndex
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"vic", []string{"history", "--kind", "plan", "--limit", "1"}, 0, "  ann: plan apply\n~ sales[sale].sessions" +
			"[day].listings[mask].stock: 5 → 9\n\nThere are more: --before "},
		{"vic", []string{"history", "--kind", "x"}, 2, "is not plan, words or switches"},
		{"vic", []string{"history", "--limit", "201"}, 2, "is not between 1 and 200"},
		{"vic", []string{"plan", "back"}, 1, "403"},
		{"bo", []string{"plan", "back", "--dry-run"}, 0, fmt.Sprintf(" by ann (--of %d)\n~ sales[sale].sessions[day]."+
			"listings[mask].stock: 9 → 5\n", index)},
		{"bo", []string{"plan", "back", "--of", "1"}, 1, "is not what it would have changed"},
		{"bo", []string{"plan", "back", "--of", fmt.Sprint(index), "--note", "a slip"}, 0, "1 changed"},
		{"bo", []string{"plan", "back"}, 1, "there is none to be taken back"},
		{"vic", []string{"history", "--limit", "1"}, 0, "  bo: plan back (a slip)\n~ "},
	} {
		status, out, errs := o.tool(c.name, c.args...)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: %v: %d %s%s", c.name, c.args, status, out, errs)
		}
	}
	if o.stock("mask") != 5 {
		t.Errorf("%d units", o.stock("mask"))
	}
}
