package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newEraseCommand() *cobra.Command {
	o := nodeOptions{look: "erase --status"}
	var shopper string
	var yes, status bool
	c := o.change(&cobra.Command{
		Use:   "erase --shopper ID --admin ADDR",
		Short: "Erase a shopper's personal data on all nodes, and say what is left where",
		Long: `Destroy the key that a shopper's receivers (name, phone, address) were sealed with, on
every node. Orders, payments and figures stay; what was sealed can't be read any more,
neither in the state nor in settled sessions' files. The answer says where copies of the
key are left (entries of the log, snapshots, backups), and when they are gone. With
--status nothing is erased. Erasing takes a token of an admin.`,
		Example: `  doorbuster erase --shopper shopper-42 --note "asked on 2026-09-20" --admin 127.0.0.1:8081
  doorbuster erase --shopper shopper-42 --status --admin 127.0.0.1:8081`,
	}, func() error {
		if !engine.ValidShopper(shopper) {
			return errors.New("--shopper is not the id of one: " + engine.ShopperForm)
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.PersonalData, error) {
		if status {
			return node.PersonalData(ctx, shopper)
		}
		return node.ErasePersonalData(ctx, shopper, o.note, yes)
	}, printPersonalData))
	c.Flags().StringVar(&shopper, "shopper", "", "whose, by `id`")
	c.Flags().BoolVar(&yes, "yes", false, "erase although goods may still have to be sent to the shopper")
	c.Flags().BoolVar(&status, "status", false, "only say what is kept, and what became of it")
	return c
}

func printPersonalData(w io.Writer, p *wire.PersonalData) error {
	held := "no personal data is held"
	if p.Held {
		held = fmt.Sprintf("personal data is held; its key is wrapped by key %d of the key file", p.Key)
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", p.Shopper, held); err != nil || p.Erasure == nil {
		return err
	}
	e := p.Erasure
	var b strings.Builder
	fmt.Fprintf(&b, "Erased at %s, by entry %d of the log. %s\n\n", e.At, e.LogIndex, e.Says)
	t := cli.NewTable(&b, "NODE", "STATE", "DISK")
	for i, n := range e.State.Nodes {
		t.Row(n.Node, copyWord(n), copyWord(e.Disk.Nodes[i]))
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

func copyWord(c wire.PersonalCopy) string {
	if c.Gone {
		return "gone"
	}
	return "still there"
}

// PersonalKeysStatus gives the command that says which keys of the key file are in use.
func PersonalKeysStatus() *cobra.Command {
	var o nodeOptions
	return o.command(&cobra.Command{
		Use:   "status --admin ADDR",
		Short: "Say which keys of the key file wrap how much, and which may be removed",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.PersonalKeys, error) {
		return node.PersonalKeys(ctx)
	}, func(w io.Writer, keys *wire.PersonalKeys) error {
		var b strings.Builder
		t := cli.NewTable(&b, "KEY", "WRAPS", "IN FILE", "NEWEST", "UNUSED SINCE", "MAY BE REMOVED")
		for _, k := range keys.Keys {
			t.Row(k.Number, k.Keys, yesNo(k.InFile), yesNo(k.Newest), k.UnusedSince, yesNo(k.MayBeRemoved))
		}
		t.Flush()
		_, err := io.WriteString(w, b.String())
		return err
	}))
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
