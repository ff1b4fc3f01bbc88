package operate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestIntoNewFile: half a file is nobody's, and what is there already stays.
func TestIntoNewFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	broke := errors.New("it broke off")
	write := func(text string, err error) error {
		return intoNewFile(file, nil, func(to io.Writer) error {
			_, _ = io.WriteString(to, text)
			return err
		})
	}
	if err := write("half", broke); !errors.Is(err, broke) {
		t.Error(err)
	}
	if all, _ := os.ReadDir(filepath.Dir(file)); len(all) != 0 {
		t.Errorf("%v are left", all)
	}
	if err := write("whole", nil); err != nil {
		t.Error(err)
	}
	if err := write("another", nil); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "whole" {
		t.Errorf("%q %v", text, err)
	}
	if all, _ := os.ReadDir(filepath.Dir(file)); len(all) != 1 {
		t.Errorf("%v are there", all)
	}
}

// run runs a command and gives what it writes.
func run(c *cobra.Command, args ...string) (out string, err error) {
	var b bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&b)
	c.SetErr(io.Discard)
	c.SilenceUsage, c.SilenceErrors = true, true
	err = c.Execute()
	return b.String(), err
}

// TestDrawThatBreaksOff leaves no half of a file that would be in the way of the next try.
func TestDrawThatBreaksOff(t *testing.T) {
	fails := true
	zeros := strings.Repeat("0", 64)
	done := `{"state":"done","commitment":"` + zeros + `","seed":"` + zeros + `","draw_at":"2026-09-20T02:00:00Z",` +
		`"stock":1,"entries":[]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch more := r.URL.Query().Get("cursor") == ""; {
		case !more && fails:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"type":"urn:doorbuster:problem:forbidden","title":"No","status":403,"detail":"No."}`)
		case more:
			fmt.Fprint(w, done, `,"cursor":"1"}`)
		default:
			fmt.Fprint(w, done, "}")
		}
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "draw.ndjson")
	args := []string{"day/mask", "--addr", s.URL, "--out", file}
	if _, err := run(newDrawShowCommand(), args...); err == nil {
		t.Error("a draw that broke off is whole")
	}
	if _, err := os.Lstat(file); err == nil {
		t.Error("half of it is there")
	}
	fails = false
	if _, err := run(newDrawShowCommand(), args...); err != nil {
		t.Error(err)
	}
}
