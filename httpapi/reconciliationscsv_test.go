package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
)

// TestFindingsHaveNoFormulas: what a statement has written is no formula of a spreadsheet's,
// also where a semicolon begins a cell, or the sign is a full-width one.
func TestFindingsHaveNoFormulas(t *testing.T) {
	line, err := json.Marshal(&reconcile.Finding{PaymentID: "p;=1+1", OrderNo: "＝1+1", Says: "=cmd"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	to := csv.NewWriter(&b)
	findings := archive.NewFindings(io.NopCloser(strings.NewReader(string(line) + "\n")))
	if err := writeFindings(to, nil, findings); err != nil {
		t.Fatal(err)
	}
	to.Flush()
	for _, want := range []string{",p;'=1+1,", ",'＝1+1,", ",'=cmd,"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in %s", want, b.String())
		}
	}
}
