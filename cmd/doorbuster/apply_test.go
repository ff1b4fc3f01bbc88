package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

const goodPlan = `products:
  - {id: mask-50, currency: CNY}
sales:
  - id: fans-day
    sessions:
      - id: fans-day-10
        start: now
        listings:
          - {sku: mask-50, price: 100, stock: 1000}
`

const badPlan = `products:
  - {id: mask-50, currency: yuan}
sales:
  - id: fans-day
    sessions:
      - id: fans-day-10
        start: now
        listings:
          - {sku: mask-50, price: 100, stok: -5}
`

// planNode is a node's admin API as far as apply sees it: it keeps what it was
// sent and gives one answer.
type planNode struct {
	*httptest.Server
	status  int
	answer  string
	request *http.Request
	body    string
	asked   int
}

func newPlanNode(t *testing.T, status int, answer string) *planNode {
	t.Helper()
	n := &planNode{status: status, answer: answer}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.asked++
		n.request, n.body = r, string(body)
		w.WriteHeader(n.status)
		io.WriteString(w, n.answer)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *planNode) addr() string { return n.Listener.Addr().String() }

func runApply(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newRootCommand()
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"apply"}, args...))
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

const changesAnswer = `{"applied":true,"dry_run":false,"changes":[
 {"path":"products[mask-50]","before":"","after":"new"},
 {"path":"products[mug].list_price","before":"0","after":"3900"},
 {"path":"sales[fans-day].name.zh","before":"旧","after":""},
 {"path":"sales[fans-day].sessions[fans-day-10]","before":"","after":"new"},
 {"path":"sales[fans-day].sessions[fans-day-10].listings[mask-50]","before":"","after":"1000 units at 100"},
 {"path":"sales[fans-day].sessions[fans-day-20].listings[mask-50].stock","before":"1000","after":"1200"},
 {"path":"sales[fans-day].sessions[fans-day-20].listings[mask-50].price","before":"1","after":"2\u001b[2J"}]}`

func TestApplyTellsWhatChanged(t *testing.T) {
	t.Setenv("DOORBUSTER_TOKEN", "")
	node := newPlanNode(t, 200, changesAnswer)
	out, errs, err := runApply(t, "", "-f", nodetest.TempFile(t, goodPlan), "--admin", node.addr())
	if err != nil || errs != "" {
		t.Fatalf("%v, %s", err, errs)
	}
	want := `+ products[mask-50]
~ products[mug].list_price: 0 → 3900

- sales[fans-day].name.zh: 旧

+ sales[fans-day].sessions[fans-day-10]
+ sales[fans-day].sessions[fans-day-10].listings[mask-50]: 1000 units at 100

~ sales[fans-day].sessions[fans-day-20].listings[mask-50].stock: 1000 → 1200
"~ sales[fans-day].sessions[fans-day-20].listings[mask-50].price: 1 → 2\x1b[2J"

3 created, 3 changed, 1 removed
`
	if out != want {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
	r := node.request
	if r.Method != "POST" || r.URL.String() != "/admin/v1/plan" || r.Header.Get("Content-Type") != "application/yaml" ||
		r.Header.Get("Authorization") != "" || node.body != goodPlan {
		t.Errorf("sent %s %s %v %q", r.Method, r.URL, r.Header, node.body)
	}
}

func TestApplyDryRunFromStandardInputWithToken(t *testing.T) {
	node := newPlanNode(t, 200, `{"applied":false,"dry_run":true,"changes":[]}`)
	token := nodetest.TempFile(t, "  s3cret\n")
	out, _, err := runApply(t, goodPlan, "-f", "-", "--admin", node.URL, "--dry-run", "--token-file", token)
	if err != nil || out != "nothing to change; dry run: nothing was changed\n" {
		t.Errorf("%v, %q", err, out)
	}
	if r := node.request; r.URL.RawQuery != "dry_run=true" || r.Header.Get("Authorization") != "Bearer s3cret" ||
		node.body != goodPlan {
		t.Errorf("sent %s %v", r.URL, r.Header)
	}
	t.Setenv("DOORBUSTER_TOKEN", "from-env\n")
	if _, _, err = runApply(t, goodPlan, "-f", "-", "--admin", node.addr()); err != nil ||
		node.request.Header.Get("Authorization") != "Bearer from-env" {
		t.Errorf("%v, sent %v", err, node.request.Header)
	}
}

func TestApplyJSON(t *testing.T) {
	node := newPlanNode(t, 200, `{"applied":true,"dry_run":false}`)
	out, _, err := runApply(t, "", "-f", nodetest.TempFile(t, goodPlan), "--admin", node.addr(), "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Applied bool
		Changes []wire.PlanChange
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || !answer.Applied || answer.Changes == nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestApplySendsNothingOfABadPlan(t *testing.T) {
	node := newPlanNode(t, 200, `{}`)
	file := nodetest.TempFile(t, badPlan)
	out, errs, err := runApply(t, "", "-f", file, "--admin", node.addr())
	if err == nil || errors.As(err, new(cli.UsageError)) || out != "" || node.asked != 0 {
		t.Errorf("err %v, stdout %q, asked %d", err, out, node.asked)
	}
	if err.Error() != "the plan has 3 problems; nothing was changed" {
		t.Error(err)
	}
	want := file + `:2:29: products[mask-50].currency: "yuan" is not an ISO 4217 code of three capital letters, such as CNY
` + file + `:9:13: sales[fans-day].sessions[fans-day-10].listings[mask-50].stock: missing: the units put up, in all
` + file + `:9:40: sales[fans-day].sessions[fans-day-10].listings[mask-50].stok: unknown key "stok"; did you mean "stock"?
`
	if errs != want {
		t.Errorf("got:\n%s\nwant:\n%s", errs, want)
	}
}

func TestApplyTellsTheNodesProblemsByLine(t *testing.T) {
	node := newPlanNode(t, 422, `{"title":"plan refused","status":422,"problems":[
 {"path":"sales[fans-day].sessions[fans-day-10].listings[mask-50].stock","message":"can't be lowered by 5"},
 {"path":"sales[fans-day].sessions[fans-day-10].start","line":7,"message":"the session has started"}]}`)
	file := nodetest.TempFile(t, goodPlan)
	_, errs, err := runApply(t, "", "-f", file, "--admin", node.addr())
	want := file + `:7:16: sales[fans-day].sessions[fans-day-10].start: the session has started
` + file + `:9:47: sales[fans-day].sessions[fans-day-10].listings[mask-50].stock: can't be lowered by 5
`
	if err == nil || errs != want {
		t.Errorf("%v, got:\n%s\nwant:\n%s", err, errs, want)
	}
}

func TestApplySaysWhatToDo(t *testing.T) {
	t.Setenv("DOORBUSTER_TOKEN", "")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := closed.Addr().String()
	closed.Close()
	answering := func(status int, answer string) string { return newPlanNode(t, status, answer).addr() }
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	for name, c := range map[string]struct{ admin, want string }{
		"nobody listens": {free, "is the node running, and is --admin the address"},
		"no token": {answering(401, `{"title":"Unauthorized","detail":"No token."}`),
			"(401): No token; name an ops token with --token-file"},
		"another role":   {answering(403, `{"title":"Forbidden"}`), "(403): Forbidden; the token's role"},
		"shoppers' port": {answering(404, `not found`), "(404): 404 Not Found; is --admin the admin address"},
		"no leader": {answering(503, `{"title":"no leader"}`),
			"(503): no leader; the same command with --idempotency-key"},
		"another service": {answering(200, `<html>`), "is --admin right?"},
		"redirect":        {answering(302, ``), "(302)"},
		"no answer":       {slow.Listener.Addr().String(), "the same command with --idempotency-key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := runApply(t, "", "-f", nodetest.TempFile(t, goodPlan), "--admin", c.admin, "--timeout", "300ms")
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(cli.UsageError)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestApplyUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing said":   {nil, "name it with -f FILE, or -f - for standard input\nno node"},
		"argument":       {[]string{"plan.yaml"}, "name the plan with -f plan.yaml"},
		"unknown flag":   {[]string{"--dryrun"}, "unknown flag"},
		"bad address":    {[]string{"-f", "x", "--admin", "ftp://x"}, "is not an address"},
		"bad output":     {[]string{"-f", "x", "--admin", "a:1", "--output", "xml"}, "neither text nor json"},
		"bad timeout":    {[]string{"-f", "x", "--admin", "a:1", "--timeout", "0s"}, "--timeout 0s"},
		"timeout no one": {[]string{"-f", "x", "--admin", "a:1", "--timeout", "soon"}, "is not a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := runApply(t, "", c.args...)
			if !errors.As(err, new(cli.UsageError)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	_, _, err := runApply(t, "", "-f", filepath.Join(t.TempDir(), "none.yaml"), "--admin", "a:1")
	if !errors.Is(err, os.ErrNotExist) || errors.As(err, new(cli.UsageError)) {
		t.Errorf("a missing file: %v", err)
	}
}
