package operate

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/wire"
)

// openFile opens a file, - for standard input. One over most bytes is too large to be worth
// sending.
func openFile(c *cobra.Command, file, what string, most int64) (in io.Reader, closed func(), err error) {
	if file == "-" {
		return c.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the %s: %w", what, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s is a folder", file)
	case info.Size() > most:
		err = fmt.Errorf("%s has %s; a %s may have %s", file, cli.BinaryBytes(info.Size()), what,
			cli.BinaryBytes(most))
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return f, func() { f.Close() }, nil
}

// sizeOf gives how much there is to read, or -1.
func sizeOf(in io.Reader) int64 {
	switch in := in.(type) {
	case *strings.Reader:
		return in.Size()
	case *os.File:
		if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}

// bars show how a file is sent and its rows are committed, where somebody looks. Progress is a
// courtesy: it may fail.
type bars struct {
	sending, rows *progressbar.ProgressBar
	bar           func(of int64, what string, bytes bool) *progressbar.ProgressBar
}

func newBars(c *cobra.Command, size int64) *bars {
	stderr := c.ErrOrStderr()
	b := &bars{bar: func(of int64, what string, bytes bool) *progressbar.ProgressBar {
		return progressbar.NewOptions64(of, progressbar.OptionSetWriter(stderr), progressbar.OptionShowBytes(bytes),
			progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
			progressbar.OptionSetVisibility(cli.IsTerminal(stderr)), progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond))
	}}
	b.sending = b.bar(size, "sent", true)
	return b
}

func (b *bars) committed(p wire.ImportProgress) {
	if b.rows == nil {
		_ = b.sending.Finish()
		b.rows = b.bar(int64(p.Of), "rows", false)
	}
	_ = b.rows.Set(p.Committed)
}

func (b *bars) finish() {
	_ = b.sending.Finish()
	if b.rows != nil {
		_ = b.rows.Finish()
	}
}
