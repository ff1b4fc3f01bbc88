package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"doorbuster/httpapi"
	"doorbuster/httpapi/reconcile"
)

// TestReportsAreBounded: the oldest go, damaged ones and those of a newer build are
// left alone, and what a run that was killed has left is cleared away.
func TestReportsAreBounded(t *testing.T) {
	s := &reports{dir: t.TempDir()}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return fmt.Sprintf("20260920T0430%02d.%03dZ-0123456789ab", i/1000, i%1000) }
	for i := range mostReports {
		put(name(i)+reportSuffix, fmt.Sprintf(`{"version":1,"id":%q}`, name(i)))
		put(name(i)+findingsSuffix, "")
	}
	put("20000101T000000.000Z-damaged"+reportSuffix, "{")
	put("20000101T000000.000Z-newer"+reportSuffix, `{"version":99,"id":"20000101T000000.000Z-newer"}`)
	put("statement-1"+partSuffix, "half")
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	last := "20260921T043000.000Z-0123456789ab"
	w, err := s.begin(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.finding(&reconcile.Finding{Kind: reconcile.UnknownOrder}); err != nil {
		t.Fatal(err)
	}
	if err := w.keep(&reconcile.Report{Version: 1, ID: last}); err != nil {
		t.Fatal(err)
	}
	list, err := s.list()
	if err != nil || len(list) != mostReports || list[0].ID != last || list[0].Kept != 1 || list[mostReports-1].ID != name(1) {
		t.Fatalf("%d reports, %v", len(list), err)
	}
	if _, _, err := s.opened(name(0)); !errors.Is(err, httpapi.ErrNoReport) {
		t.Errorf("the oldest: %v", err)
	}
	if _, f, err := s.opened(name(1)); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	for file, want := range map[string]bool{"20000101T000000.000Z-damaged" + reportSuffix: true, "20000101T000000.000Z-newer" + reportSuffix: true, "statement-1" + partSuffix: false} {
		if _, err := os.Stat(filepath.Join(s.dir, file)); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}
