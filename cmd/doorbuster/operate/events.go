package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// eventsPause is how long a reader that was cut off waits before it goes on, and
// eventsSilence after what time without an event or a heartbeat it takes a node for
// gone.
const (
	eventsPause   = time.Second
	eventsSilence = 25 * time.Second
)

var trailPosition = regexp.MustCompile(`^[0-9]{1,20}(\.[0-9]{1,10})?$`)

func newEventsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "events",
		Short: "Read the trail of committed events",
	}, newEventsTailCommand())
}

// eventsOptions are those of events tail.
type eventsOptions struct {
	nodeOptions
	from, session string
	last          int
	follow        bool
	told          bool // an event at least
}

func newEventsTailCommand() *cobra.Command {
	o := &eventsOptions{}
	var c *cobra.Command
	c = o.command(&cobra.Command{
		Use:   "tail --admin ADDR [--from INDEX[.N] | --last N] [--follow] [--session ID]",
		Short: "Tell what has happened, and with --follow what happens",
		Long: `Tell what has happened: every committed event with its true reason, the same
on every node. --from begins at a position ("0" is the first that is kept),
--last so many events (of --session, where one is named) before the end; --follow goes on as they come, and comes
again where it was when the node breaks off, which it says on standard error.
Ctrl-C ends it, and tells where to go on: with --from, at any node.`,
		Example: `  doorbuster events tail --admin 127.0.0.1:8081 --follow
  doorbuster events tail --admin 127.0.0.1:8081 --from 0 --session fans-day-10 --json > events.ndjson`,
	}, func() error {
		var errs []error
		if o.from != "" && !trailPosition.MatchString(o.from) {
			errs = append(errs, fmt.Errorf("--from %q is no position of an event, INDEX or INDEX.N", o.from))
		}
		if o.last < 1 || o.last > httpapi.MostLastEvents {
			errs = append(errs, fmt.Errorf("--last %d is not between 1 and %d", o.last, httpapi.MostLastEvents))
		}
		if o.from != "" && c.Flags().Changed("last") {
			errs = append(errs, errors.New("--from and --last: take one, they say where to begin"))
		}
		if o.session != "" && !engine.ValidID(o.session) {
			errs = append(errs, fmt.Errorf("--session %q is no session's id", o.session))
		}
		return errors.Join(errs...)
	}, func(c *cobra.Command) error { return o.tail(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) })
	flags := c.Flags()
	flags.StringVar(&o.from, "from", "", "`position` to begin with: INDEX or INDEX.N; 0 is the first that is kept")
	flags.IntVar(&o.last, "last", 10, "without --from: so many `events` before the end")
	flags.BoolVar(&o.follow, "follow", false, "go on as events come")
	flags.StringVar(&o.session, "session", "", "only events of the session with this `id`")
	return c
}

// tail writes events until the end, or with --follow until ctx ends. What breaks
// off is gone on with where it was; diagnostics say so once, and once when it goes on.
func (o *eventsOptions) tail(ctx context.Context, out, diagnostics io.Writer) error {
	at, broken := o.from, false
	for began := false; ; {
		next, err := o.tailOnce(ctx, at, out, func(from, since string) {
			if !began && since != "" {
				fmt.Fprintf(diagnostics, "doorbuster: events are kept since %s\n", since)
			}
			began, at = true, from
			if broken {
				fmt.Fprintf(diagnostics, "doorbuster: going on at %s\n", from)
			}
			broken = false
		})
		at = cmp.Or(next, at)
		var refused *client.Refused
		switch {
		case err == nil && !o.follow && o.session != "" && !o.told && (o.from == "" || o.from == "0"):
			return fmt.Errorf("no event of a session %q is kept; is that its id?", o.session)
		case err == nil && !o.follow:
			return nil
		case ctx.Err() != nil && !o.follow:
			return fmt.Errorf("interrupted; go on with --from %s", cmp.Or(at, "0"))
		case ctx.Err() != nil: // as was asked for
			if at != "" {
				fmt.Fprintf(diagnostics, "doorbuster: stopped; go on with --from %s\n", at)
			}
			return nil
		case !began:
			return err
		case !o.follow, errors.As(err, new(lastingError)), errors.As(err, &refused) && !refused.Passes():
			return fmt.Errorf("%w; it was at %s", err, at)
		}
		if !broken {
			if err == nil {
				err = fmt.Errorf("%s ended the stream", o.admin)
			}
			fmt.Fprintf(diagnostics, "doorbuster: %v; coming again at %s\n", err, at)
		}
		broken = true
		select {
		case <-ctx.Done():
		case <-time.After(eventsPause):
		}
	}
}

// lastingError is what trying again does not change.
type lastingError struct{ error }

func (e lastingError) Unwrap() error { return e.error }

// tailOnce writes what one stream gives, and gives where to go on; "" if nothing
// came. begins is told the position that the stream begins
// with, and since when the node keeps events.
func (o *eventsOptions) tailOnce(ctx context.Context, from string, out io.Writer,
	begins func(at, since string)) (next string, err error) {
	node, err := o.asks()
	if err != nil {
		return "", lastingError{err}
	}
	q := url.Values{"follow": {strconv.FormatBool(o.follow)}}
	if from != "" {
		q.Set("from", from)
	} else {
		q.Set("last", strconv.Itoa(o.last))
	}
	if o.session != "" {
		q.Set("session", o.session)
	}
	err = node.Events(ctx, q, eventsSilence, func(h http.Header) {
		begins(cmp.Or(h.Get(wire.HeaderFromEvent), from), h.Get(wire.HeaderKeptSince))
	}, func(text []byte) error {
		var line struct {
			wire.TrailEvent
			Heartbeat bool `json:"heartbeat"`
		}
		if err := node.Decode(text, &line); err != nil {
			return lastingError{err}
		}
		if line.Heartbeat {
			next = strconv.FormatUint(line.Index+1, 10)
			return nil
		}
		if err := o.print(out, text, &line.TrailEvent); err != nil {
			return lastingError{err}
		}
		next = strconv.FormatUint(line.Index, 10) + "." + strconv.FormatUint(uint64(line.N)+1, 10)
		return nil
	})
	return next, err
}

// print writes an event: as it came, or a line for people.
func (o *eventsOptions) print(out io.Writer, line []byte, e *wire.TrailEvent) error {
	o.told = true
	if o.output == "json" {
		_, err := out.Write(append(line[:len(line):len(line)], '\n'))
		return err
	}
	words := []string{fmt.Sprintf("%d.%d", e.Index, e.N), e.Time, e.Kind}
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+cli.Shown(value))
		}
	}
	add("reason", e.Reason)
	add("session", e.Session)
	add("sku", e.SKU)
	add("order", e.OrderNo)
	add("state", e.State)
	add("shopper", e.Shopper)
	if e.Amount != nil {
		add("amount", fmt.Sprintf("%d %s", *e.Amount, e.Currency))
	}
	if e.Units != 0 {
		add("units", strconv.FormatInt(e.Units, 10))
	}
	add("operator", e.Operator)
	add("note", e.Note)
	add("detail", e.Detail)
	if e.MissingFrom != 0 {
		add("missing_from", strconv.FormatUint(e.MissingFrom, 10))
	}
	_, err := fmt.Fprintln(out, strings.Join(words, " "))
	return err
}
