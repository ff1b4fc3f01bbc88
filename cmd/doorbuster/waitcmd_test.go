package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestWaitWaitsUntilItIsReady: wait asks until a node is ready and a URL answers, and
// says what it heard last where that takes too long.
func TestWaitWaitsUntilItIsReady(t *testing.T) {
	var asked atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && asked.Add(1) > 3 {
			return
		}
		http.Error(w, "", http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	addr := strings.TrimPrefix(busy.URL, "http://")
	if code, out, errs := runTool(t, "", "wait", addr, busy.URL+"/readyz"); code != 0 || asked.Load() < 4 {
		t.Errorf("%d after %d: %s%s", code, asked.Load(), out, errs)
	}
	if code, _, errs := runTool(t, "", "wait", "--timeout", "300ms", busy.URL+"/never"); code != 1 ||
		!strings.Contains(errs, "503") {
		t.Errorf("%d %s", code, errs)
	}
	for _, args := range [][]string{{}, {"ftp://x"}} {
		if code, _, errs := runTool(t, "", append([]string{"wait"}, args...)...); code != 2 {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

// TestTLSToAPlainPortIsSaid: an operator who asks a node in TLS hears that it speaks
// plain HTTP and that nothing was sent, of every command; and so of a certificate that
// is not believed.
func TestTLSToAPlainPortIsSaid(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	defer strange.Close()
	plan := nodetest.TempFile(t, nodetest.Masks(1))
	for _, args := range [][]string{{"apply", "-f", plan}, {"cluster", "status"}, {"cluster", "snapshot"},
		{"switches", "normal"}, {"alarms"}, {"events", "tail"}} {
		code, _, errs := runTool(t, "", append(args, "--admin", strings.Replace(plain.URL, "http:", "https:", 1))...)
		if code != 1 || !strings.Contains(errs, "speaks plain HTTP") || !strings.Contains(errs, "nothing was sent") ||
			strings.Contains(errs, "may be") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
		code, _, errs = runTool(t, "", append(args, "--admin", strange.URL)...)
		if code != 1 || !strings.Contains(errs, "certificate") || !strings.Contains(errs, "nothing was sent") ||
			strings.Contains(errs, "may be") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

// TestJSONEverywhere: apply and version take --json like the others.
func TestJSONEverywhere(t *testing.T) {
	s := openShop(t, t.TempDir())
	for _, args := range [][]string{{"version", "--json"},
		{"apply", "-f", nodetest.TempFile(t, nodetest.Masks(1)), "--admin", s.Admin, "--json"}} {
		code, out, errs := runTool(t, "", args...)
		var told map[string]any
		if err := json.Unmarshal([]byte(out), &told); code != 0 || err != nil || len(told) == 0 {
			t.Errorf("%v: %d %v %s%s", args, code, err, out, errs)
		}
	}
}
