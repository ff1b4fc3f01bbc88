package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

func newWALCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "wal",
		Short: "Check and read a node's log, offline",
	}, newWALVerifyCommand(), newWALDumpCommand())
}

// oneDir takes the data directory as the only argument.
func oneDir(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Usage(fmt.Errorf("%s takes one argument, the data directory", c.CommandPath()))
	}
	return nil
}

// openWAL finds the log of a data directory.
func openWAL(dir string) (string, error) {
	path := cluster.WALDir(dir)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("%s has no wal folder: is it a data directory?", dir)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", path)
	}
	return path, nil
}

func newWALVerifyCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check every byte of a log",
		Long: `Check the log in the data directory DIR without changing anything. It tells the
counts of a good log; for a torn tail, what serve would drop; for damage, segment
and offset, with exit status 1.`,
		Args: oneDir,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := openWAL(args[0])
			if err != nil {
				return err
			}
			report, err := wal.Verify(vfs.OS(), path, wal.Known{})
			if asJSON {
				if jsonErr := writeVerifyJSON(c.OutOrStdout(), report, err); jsonErr != nil {
					return jsonErr
				}
				if err != nil {
					return cli.ErrQuiet
				}
				return nil
			}
			if err != nil {
				return err
			}
			writeVerifyText(c.OutOrStdout(), report)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return c
}

func writeVerifyText(to io.Writer, r wal.Report) {
	fmt.Fprintf(to, "the log is good: %d segments, %d batches, %d records (log index %d to %d), %d bytes\n",
		r.Segments, r.Batches, r.Records, r.FirstIndex, r.LastIndex, r.Bytes)
	if r.Torn != nil {
		fmt.Fprintf(to, "its end is torn, as a crash leaves it; serve will drop that: %s\n", r.Torn)
	}
	for _, name := range r.Leftover {
		fmt.Fprintf(to, "left over by a crash; serve will remove it: %s\n", name)
	}
}

func writeVerifyJSON(to io.Writer, r wal.Report, err error) error {
	answer := map[string]any{"ok": err == nil, "segments": r.Segments, "batches": r.Batches, "records": r.Records,
		"first_index": r.FirstIndex, "last_index": r.LastIndex, "bytes": r.Bytes}
	if r.Torn != nil {
		answer["torn"] = r.Torn.String()
	}
	if err != nil {
		answer["error"] = err.Error()
	}
	var damage *wal.DamageError
	if errors.As(err, &damage) {
		answer["segment"], answer["offset"] = damage.Segment, damage.Offset
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

func newWALDumpCommand() *cobra.Command {
	var asJSON bool
	var from, to uint64
	c := &cobra.Command{
		Use:   "dump DIR",
		Short: "Print the entries of a log",
		Long: `Print each entry of the log in the data directory DIR, and the commands in it.
What shoppers are called is in there: treat the output as personal data.`,
		Args: oneDir,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := openWAL(args[0])
			if err != nil {
				return err
			}
			p := entryPrinter{out: c.OutOrStdout(), json: asJSON}
			_, err = wal.Dump(vfs.OS(), path, wal.Known{}, func(e wal.Entry) error {
				if e.Index < from || to > 0 && e.Index > to {
					return nil
				}
				return p.print(e)
			})
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().Uint64Var(&from, "from", 0, "first log `index` to print")
	c.Flags().Uint64Var(&to, "to", 0, "last log `index` to print; 0 = the last")
	return c
}

type entryPrinter struct {
	out  io.Writer
	json bool
}

// dumpedEntry is an entry as dump --json prints it.
type dumpedEntry struct {
	Index    uint64              `json:"index"`
	Term     uint64              `json:"term"`
	Segment  string              `json:"segment"`
	Offset   int64               `json:"offset"`
	Type     string              `json:"type"`
	Bytes    int                 `json:"bytes"`
	Epoch    uint64              `json:"epoch,omitempty"`
	Sequence uint64              `json:"sequence,omitempty"`
	Time     string              `json:"time,omitempty"`
	Commands []dumpedCommand     `json:"commands,omitempty"`
	Roster   *cluster.Membership `json:"roster,omitempty"`
	Error    string              `json:"error,omitempty"`
}

type dumpedCommand struct {
	Kind     string `json:"kind"`
	Shopper  string `json:"shopper,omitempty"`
	Listing  uint32 `json:"listing,omitempty"`
	Quantity uint32 `json:"quantity,omitempty"`
	Session  uint32 `json:"session,omitempty"`
	Order    string `json:"order,omitempty"` // session/ordinal
	Amount   int64  `json:"amount,omitempty"`
	Action   string `json:"action,omitempty"`
	Operator string `json:"operator,omitempty"`
	Note     string `json:"note,omitempty"`
}

func (p entryPrinter) print(e wal.Entry) error {
	d := dumpedEntry{Index: e.Index, Term: e.Term, Segment: e.Segment, Offset: e.Offset, Bytes: len(e.Data)}
	kind, err := cluster.EntryType(e.Record)
	d.Type = kind
	switch {
	case err != nil:
		d.Error = err.Error()
	case kind == "roster":
		if d.Roster, err = cluster.DecodeMembership(e.Data); err != nil {
			d.Error = err.Error()
		}
	case kind == "command":
		header, commands, err := engine.DecodeBatch(e.Data)
		if err != nil {
			d.Error = err.Error()
			break
		}
		d.Epoch, d.Sequence, d.Time = uint64(header.Epoch), header.Sequence,
			header.Time.Wall().Format("2006-01-02T15:04:05.000Z")
		for i := range commands {
			c := &commands[i]
			told := dumpedCommand{Kind: c.Kind.String(), Shopper: string(c.Shopper), Listing: uint32(c.Listing),
				Quantity: c.Quantity,
				Session:  uint32(c.Session), Amount: c.Amount, Operator: c.Operator, Note: c.Note}
			if c.Kind == engine.CmdSteerSession {
				told.Action = c.Action.String()
			}
			if !c.Order.IsZero() {
				told.Order = fmt.Sprintf("%d/%d", c.Order.Session, c.Order.Ordinal)
			}
			d.Commands = append(d.Commands, told)
		}
	}
	if p.json {
		return json.NewEncoder(p.out).Encode(d)
	}
	return p.text(d)
}

func (p entryPrinter) text(d dumpedEntry) error {
	_, err := fmt.Fprintf(p.out, "%d term %d %s:%d %s %d bytes", d.Index, d.Term, d.Segment, d.Offset, d.Type, d.Bytes)
	if d.Time != "" {
		_, err = fmt.Fprintf(p.out, " epoch %d batch %d at %s", d.Epoch, d.Sequence, d.Time)
	}
	if d.Error != "" {
		_, err = fmt.Fprintf(p.out, " ERROR %s", d.Error)
	}
	if r := d.Roster; r != nil {
		_, err = fmt.Fprintf(p.out, " version %d zone_ack %s operator=%q note=%q", r.Version, r.ZoneAck, r.Operator,
			r.Note)
		for _, m := range r.Members {
			_, err = fmt.Fprintf(p.out, "\n  %s zone=%s kind=%s peer=%s drained=%t", m.ID, m.Zone, m.Kind, m.Peer,
				m.Drained)
		}
	}
	for _, c := range d.Commands {
		_, err = fmt.Fprintf(p.out, "\n  %s", c.Kind)
		for _, field := range []struct{ name, value string }{
			{"shopper", c.Shopper}, {"listing", unlessZero(int64(c.Listing))},
			{"session", unlessZero(int64(c.Session))},
			{"order", c.Order}, {"quantity", unlessZero(int64(c.Quantity))}, {"amount", unlessZero(c.Amount)},
			{"action", c.Action}, {"operator", c.Operator}, {"note", c.Note},
		} {
			if field.value != "" {
				_, err = fmt.Fprintf(p.out, " %s=%q", field.name, field.value)
			}
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(p.out)
	}
	return err
}

func unlessZero(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
