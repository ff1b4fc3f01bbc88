package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestDrawIsVerified holds a draw and checks it as anybody can, from the shop and
// from a file, also when somebody has been at the file.
func TestDrawIsVerified(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 5, draw: 1s, waitlist: true}"}))
	listing := func() (v struct {
		State, Commitment, Seed string
		Undecided               int
	}) {
		a := s.Ops("GET", "/admin/v1/sessions/day/skus/mask/draw", "")
		if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := listing()
	if before.Seed != "" || len(before.Commitment) != 64 {
		t.Fatalf("before the draw: %+v", before)
	}
	if status, _, errs := runTool(t, "", "draw", "verify", nodetest.Mask, "--addr", s.HTTP); status != 1 ||
		!strings.Contains(errs, before.Commitment) {
		t.Errorf("before the draw: status %d: %s", status, errs)
	}
	entries := []string{}
	for i := range 20 {
		a := s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", `{"waitlist":true}`, "X-Shopper-Id",
			fmt.Sprintf("shopper-%d", i), "Content-Type", "application/json")
		if a.Code != "entered" {
			t.Fatalf("%s", a.Body)
		}
		var told struct{ Entry string }
		if err := json.Unmarshal([]byte(a.Body), &told); err != nil || told.Entry == "" {
			t.Fatalf("%v: %s", err, a.Body)
		}
		entries = append(entries, told.Entry)
	}
	s.Eventually(func() bool { v := listing(); return v.State == "done" && v.Undecided == 0 },
		func() string { return "the draw does not end" })

	verify := func(want int, says string, args ...string) {
		t.Helper()
		status, out, errs := runTool(t, "", append([]string{"draw", "verify"}, args...)...)
		if status != want || !strings.Contains(out+errs, says) {
			t.Errorf("verify %v: status %d: %s%s; want %d and %q", args, status, out, errs, want, says)
		}
	}
	verify(0, "The draw holds", nodetest.Mask, "--addr", s.HTTP, "--commitment", before.Commitment)
	verify(0, "5 got units", nodetest.Mask, "--admin", s.Admin)
	verify(0, entries[3]+" is in the draw: number ", nodetest.Mask, "--addr", s.HTTP, "--order", entries[3])
	verify(1, "is not in the draw", nodetest.Mask, "--addr", s.HTTP, "--order", "0123456789ABCDEFGHJKMNPQ")
	verify(1, "NOT hold", nodetest.Mask, "--addr", s.HTTP, "--commitment", strings.Repeat("ab", 32))
	verify(2, "in hex", nodetest.Mask, "--addr", s.HTTP, "--commitment", "xyz")
	verify(2, "SESSION/SKU", "day", "--addr", s.HTTP)
	verify(2, "say where", nodetest.Mask, "--addr", s.HTTP, "--admin", s.Admin)
	verify(1, "no such file", filepath.Join(t.TempDir(), "none"))

	file := filepath.Join(t.TempDir(), "draw.ndjson")
	if status, _, errs := runTool(t, "", "draw", "show", nodetest.Mask, "--admin", s.Admin, "--out",
		file); status != 0 {
		t.Fatalf("status %d: %s", status, errs)
	}
	verify(0, "The draw holds", file, "--commitment", before.Commitment)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	response, err := nodetest.Client.Get("http://" + s.Admin + "/admin/v1/sessions/day/skus/mask/draw?format=ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if own, err := io.ReadAll(response.Body); err != nil || string(own) != string(text) {
		t.Errorf("the node's own file is another, %v:\n%s\n%s", err, own, text)
	}
	lines := strings.SplitAfter(string(text), "\n")
	tampered := filepath.Join(t.TempDir(), "tampered.ndjson")
	if err := os.WriteFile(tampered, []byte(strings.Join(append(append([]string{}, lines[:4]...), lines[5:]...), "")),
		0o600); err != nil {
		t.Fatal(err)
	}
	verify(1, "damaged", tampered)

	// Those who wait are listed in the order of the line.
	var line struct {
		Waiting []struct {
			OrderNo  string `json:"order_no"`
			State    string
			Position int
		}
	}
	if a := s.Ops("GET", "/admin/v1/sessions/day/skus/mask/waitlist", ""); json.Unmarshal([]byte(a.Body),
		&line) != nil {
		t.Fatalf("%s", a.Body)
	}
	if len(line.Waiting) == 0 {
		t.Error("nobody waits for 5 units that 20 wanted")
	}
	for i, w := range line.Waiting {
		if w.Position != i+1 || w.State != "waiting" {
			t.Errorf("number %d: %+v", i, w)
		}
	}
}
