package cli

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

// PrintJSON prints v, indented.
func PrintJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// Table has the cells of its rows below each other.
type Table struct{ to *tabwriter.Writer }

// NewTable begins a table in memory, with its heads if it has any.
func NewTable(b *strings.Builder, heads ...string) Table {
	t := Table{tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)}
	if len(heads) > 0 {
		fmt.Fprintln(t.to, strings.Join(heads, "\t"))
	}
	return t
}

// Row adds one. An empty cell is a dash.
func (t Table) Row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		if texts[i] = Shown(fmt.Sprint(cell)); texts[i] == "" {
			texts[i] = "-"
		}
	}
	fmt.Fprintln(t.to, strings.Join(texts, "\t"))
}

// Flush ends the table.
func (t Table) Flush() { _ = t.to.Flush() } // into memory

// Colours of a terminal, by their SGR numbers.
const (
	Red    = 31
	Green  = 32
	Yellow = 33
)

// PaintFor gives what colours a line for w: nothing unless w is a terminal, and
// nothing where NO_COLOR (https://no-color.org) is set.
func PaintFor(w io.Writer) func(colour int, line string) string {
	if !IsTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_ int, line string) string { return line }
	}
	return func(colour int, line string) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, line) }
}

// IsTerminal reports whether w is a character device, which for a standard stream
// means a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// Shown gives what a node says for a terminal: on one line, and without
// characters that would steer it.
func Shown(s string) string {
	if strings.ContainsFunc(s, input.Steers) {
		return strconv.Quote(s)
	}
	return s
}

// BinaryBytes gives n with a unit, such as 1.5 MiB.
func BinaryBytes(n int64) string {
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
