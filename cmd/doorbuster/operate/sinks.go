package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newSinksCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "sinks",
		Short: "See what flows out to the shop's database, webhooks and streams, and steer it",
		Long: `See what flows out to the shop's database, webhooks and streams, and steer it. Sinks stand in the
configuration; the node that leads feeds them, each from where it is in the trail of events.`,
		Example: `  doorbuster sinks status --admin 127.0.0.1:8081
  doorbuster sinks pause shop --note "the database moves" --admin 127.0.0.1:8081
  doorbuster sinks replay shop --since 2026-09-20 --admin 127.0.0.1:8081
  doorbuster sinks letters hooks --admin 127.0.0.1:8081
  doorbuster sinks send hooks --all --admin 127.0.0.1:8081`,
	}, newSinksStatusCommand(), newSinksReplayCommand(),
		newSinksSteerCommand("pause", "Hand a sink nothing more for now"),
		newSinksSteerCommand("resume", "Feed a sink again, from where it is; one that failed is tried at once"),
		newSinksSteerCommand("forget", "Forget a sink that is configured no more, and its dead letters"),
		newSinksLettersCommand(),
		newChangeLettersCommand("send", "Send dead letters again, with their orders as they are now"),
		newChangeLettersCommand("drop", "Drop dead letters: they are not sent any more"))
}

func newSinksStatusCommand() *cobra.Command {
	var o nodeOptions
	return o.command(&cobra.Command{
		Use:   "status --admin ADDR",
		Short: "Show how far each sink is, and what is wrong with it",
		Long: `Show how far each sink is, and what is wrong with it. Ask the node that leads: the others know
what is noted of sinks, and not how it goes.`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Sinks, error) {
		return node.Sinks(ctx)
	}, printSinks))
}

func printSinks(w io.Writer, all *wire.Sinks) error {
	var b strings.Builder
	if len(all.Sinks) == 0 {
		b.WriteString("There are no sinks; they stand in the configuration, under sinks.\n")
	} else {
		t := cli.NewTable(&b, "SINK", "KIND", "STATE", "POSITION", "LAG", "CHANGES", "FAILURES", "DEAD", "LAST ERROR")
		elsewhere := false
		for i := range all.Sinks {
			s := &all.Sinks[i]
			kind, state, lag := s.Kind, s.State, ""
			switch {
			case kind == "":
				kind, state = "-", "not configured"
			case state == "elsewhere":
				elsewhere = true
			default:
				lag = time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Millisecond).String()
			}
			if s.FirstKept != "" {
				state += ", first kept " + s.FirstKept
			}
			if s.Paused && state != "paused" {
				state += ", paused"
			}
			t.Row(s.Name, kind, state, s.Position, lag, s.Changes, s.Failures, s.DeadLetters, s.LastError)
		}
		t.Flush()
		if elsewhere && all.Leader != "" {
			fmt.Fprintf(&b, "Node %s leads, and feeds them: ask there how it goes.\n", cli.Shown(all.Leader))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ofSink has a command take a sink's name.
func ofSink(c *cobra.Command, name *string) *cobra.Command {
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return errors.New("name one sink; 'doorbuster sinks status' lists them")
		}
		*name = args[0]
		return nil
	})
}

func saySink(s *wire.Sink) string {
	state := s.State
	if s.Paused {
		state = "paused"
	}
	return fmt.Sprintf("Sink %s: %s, at %s, %d dead letters.", s.Name, state, s.Position, s.DeadLetters)
}

func newSinksSteerCommand(action, short string) *cobra.Command {
	o := nodeOptions{look: "sinks status"}
	name := ""
	return ofSink(o.change(&cobra.Command{Use: action + " SINK --admin ADDR", Short: short}, nil,
		asking(&o, func(ctx context.Context, node *client.Client) (*wire.Sink, error) {
			return node.SteerSink(ctx, name, action, o.note)
		}, line(saySink))), &name)
}

func newSinksReplayCommand() *cobra.Command {
	o := nodeOptions{look: "sinks status"}
	var name, from, since string
	c := o.change(&cobra.Command{
		Use:   "replay SINK --admin ADDR",
		Short: "Have a sink go on from another event, or from a day",
		Long: `Have a sink go on from another event, or from a day: all that comes behind is handed over
again, under the same ids, with orders as they are now. It is also the way on for a sink whose
next events are gone.`,
		Example: `  doorbuster sinks replay shop --from 4711 --admin 127.0.0.1:8081
  doorbuster sinks replay shop --since 2026-09-20 --note "rows were lost" --admin 127.0.0.1:8081`,
	}, func() error {
		if (from == "") == (since == "") {
			return errors.New("say where the sink goes on, by one of --from INDEX and --since DAY")
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Sink, error) {
		return node.ReplaySink(ctx, name, from, since, o.note)
	}, line(saySink)))
	c.Flags().StringVar(&from, "from", "", "`position` of an event: INDEX or INDEX.N")
	c.Flags().StringVar(&since, "since", "", "`day` (2026-09-20, in UTC) or moment in RFC 3339")
	return ofSink(c, &name)
}

func newSinksLettersCommand() *cobra.Command {
	var o nodeOptions
	var name, from string
	c := o.command(&cobra.Command{
		Use:   "letters SINK --admin ADDR",
		Short: "List a sink's dead letters: changes that its other side refused for good",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.DeadLetters, error) {
		return node.DeadLetters(ctx, name, from)
	}, printLetters))
	c.Flags().StringVar(&from, "from", "", "where to go on, as the page before says")
	return ofSink(c, &name)
}

func printLetters(w io.Writer, page *wire.DeadLetters) error {
	var b strings.Builder
	if len(page.Letters) == 0 {
		b.WriteString("No dead letters.\n")
	} else {
		t := cli.NewTable(&b, "LETTER", "SINCE", "TIMES", "EVENT", "ORDER", "WHY")
		for i := range page.Letters {
			l := &page.Letters[i]
			kind := "-"
			if l.Event != nil {
				kind = l.Event.Kind
			}
			why := l.Why
			if l.Again {
				why += " (is sent again)"
			}
			t.Row(l.At, l.Since, l.Times, kind, l.OrderNo, why)
		}
		t.Flush()
	}
	if page.Next != "" {
		fmt.Fprintf(&b, "There are more: --from %s\n", page.Next)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newChangeLettersCommand(action, short string) *cobra.Command {
	o := nodeOptions{look: "sinks letters"}
	var name string
	var letters []string
	all := false
	c := o.change(&cobra.Command{
		Use:   action + " SINK [LETTER...] --admin ADDR",
		Short: short,
		Long:  short + ": those that are named, as 'doorbuster sinks letters' has them, or with --all all.",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Sink, error) {
		return node.ChangeLetters(ctx, name, action, letters, o.note)
	}, line(saySink)))
	c.Flags().BoolVar(&all, "all", false, "all dead letters of the sink")
	return cli.WithArguments(c, func(args []string) error {
		if len(args) == 0 || !engine.ValidID(args[0]) || all == (len(args) > 1) {
			return errors.New("name one sink, and its letters or --all")
		}
		name, letters = args[0], args[1:]
		return nil
	})
}
