package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"doorbuster/httpapi/input"
)

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// table has the cells of its rows below each other.
type table struct{ to *tabwriter.Writer }

// newTable begins a table in memory, with its heads if it has any.
func newTable(b *strings.Builder, heads ...string) table {
	t := table{tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)}
	if len(heads) > 0 {
		fmt.Fprintln(t.to, strings.Join(heads, "\t"))
	}
	return t
}

// row adds one. An empty cell is a dash.
func (t table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		if texts[i] = shown(fmt.Sprint(cell)); texts[i] == "" {
			texts[i] = "-"
		}
	}
	fmt.Fprintln(t.to, strings.Join(texts, "\t"))
}

func (t table) flush() { _ = t.to.Flush() } // into memory

// Colours of a terminal, by their SGR numbers.
const (
	red    = 31
	green  = 32
	yellow = 33
)

// paintFor gives what colours a line for w: nothing unless w is a terminal, and
// nothing where NO_COLOR (https://no-color.org) is set.
func paintFor(w io.Writer) func(colour int, line string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_ int, line string) string { return line }
	}
	return func(colour int, line string) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, line) }
}

// isTerminal reports whether w is a character device, which for a standard stream
// means a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// shown gives what a node says for a terminal: on one line, and without
// characters that would steer it.
func shown(s string) string {
	if strings.ContainsFunc(s, input.Steers) {
		return strconv.Quote(s)
	}
	return s
}

// binaryBytes gives n with a unit, such as 1.5 MiB.
func binaryBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit && prefix < len("KMGTP")-1 {
		size /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTP"[prefix])
}
