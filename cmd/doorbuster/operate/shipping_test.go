package operate

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportToldAsJSON: one that is written again is told of as a new one is.
func TestExportToldAsJSON(t *testing.T) {
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			fmt.Fprint(w, "order_no\nA\n")
			return
		}
		body, _ := io.ReadAll(r.Body)
		asked += string(body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"session":"day","export":7,"orders":1,"unreviewed":0,"held":0,"no_receiver":0}`)
	}))
	defer s.Close()
	for _, more := range [][]string{nil, {"--export", "7"}} {
		file := filepath.Join(t.TempDir(), "orders.csv")
		args := append([]string{"day", "--json", "--out", file, "--admin", s.URL}, more...)
		out, err := run(newExportCommand(), args...)
		if err != nil || !strings.Contains(out, `"export": 7`) {
			t.Errorf("%v: %q, %v", more, out, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "order_no\nA\n" {
			t.Errorf("%v: %q, %v", more, text, err)
		}
	}
	if strings.Count(asked, `"export":7`) != 1 {
		t.Errorf("asked %s", asked)
	}
}
