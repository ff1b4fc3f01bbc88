package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newSessionReportCommand() *cobra.Command {
	o := nodeOptions{}
	session := ""
	return oneSession(o.command(&cobra.Command{
		Use:   "report SESSION --admin ADDR",
		Short: "Tell what came of a session, or has come of it so far",
		Long: `Tell what came of a session: what was expected and what came, from looks to what was
delivered; how long the units lasted, how many came back and were sold again; refusals by
reason, risk levels, how long grabs took; and what happened meanwhile: alarms, new leaders,
nodes out of service, switches and all that operators did.

Orders, units, money and times are exact, from the trail. Looks, grabs, refusals and how
long they took are counted by each node's doors, in memory: once the session has ended, the
leader keeps what all nodes have counted. The report says of how many nodes that is.`,
		Example: `  doorbuster sessions report fans-day-10 --admin 127.0.0.1:8081
  doorbuster sessions report fans-day-10 --json --admin 127.0.0.1:8081 >fans-day-10.json`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.SessionReport, error) {
		return node.SessionReport(ctx, session)
	}, printReport)), &session)
}

func newSessionProfileCommand() *cobra.Command {
	o := nodeOptions{look: "switches list"}
	session, name := "", ""
	return cli.WithArguments(o.change(&cobra.Command{
		Use:   "profile SESSION NAME --admin ADDR",
		Short: "Make a profile of the switches at the height of a session",
		Long: `Make a profile of the switches as they were at the height of a session: in the second with
the most units granted, or at its end if nothing was. Those that were as they normally are,
are left out. The next session can name it (profile: NAME in the plan), and turns it on when
it opens. A profile that there is with other switches stays as it is.`,
		Example: `  doorbuster sessions profile fans-day-10 rush --admin 127.0.0.1:8081`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Profile, error) {
		return node.DefineReportProfile(ctx, session, name, o.note)
	}, line(func(p *wire.Profile) string {
		return "profile " + cli.Shown(p.Name) + " is defined: " + settingsShown(p.Switches)
	}))), func(args []string) (err error) {
		if len(args) != 2 || !engine.ValidID(args[0]) {
			return errors.New("name one session by its id, and then the profile")
		}
		session = args[0]
		name, err = profileName(args[1])
		return err
	})
}

func settingsShown(to map[string]wire.SwitchValue) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(to)) {
		all = append(all, name+"="+string(to[name]))
	}
	return cmp.Or(strings.Join(all, " "), "all as normal")
}

// printReport prints a report for people.
func printReport(w io.Writer, r *wire.SessionReport) error {
	stage := map[string]string{"so_far": "so far: the session is open", "ended": "ended; orders may still be paid",
		"paid": "ended; nobody can pay any more", "settled": "settled"}[r.Stage]
	fmt.Fprintf(w, "%s of %s, opened %s", cli.Shown(r.Session), cli.Shown(r.Sale), r.Opened)
	if r.Ended != "" {
		fmt.Fprintf(w, ", ended %s", r.Ended)
	}
	fmt.Fprintf(w, "\n%s\n\n", stage)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	expected := "not said"
	if r.Forecast.Expected > 0 {
		expected = fmt.Sprint(r.Forecast.Expected)
	}
	fmt.Fprintf(t, "shoppers\texpected %s\tcame about %d\n", expected, r.Forecast.Came)
	f := &r.Funnel
	fmt.Fprintf(t, "looks\t%d\t%d at the list of sessions\ngrabs\t%d\t\n", f.Looks, f.ListLooks, f.Grabs)
	b := &r.Books
	for _, x := range []struct {
		name string
		of   wire.ReportFigure
	}{{"granted", b.Granted}, {"paid", b.Paid}, {"paid late", b.PaidLate}, {"expired", b.Expired},
		{"cancelled", b.Cancelled}, {"voided", b.Voided}, {"refunds due", b.RefundsDue}, {"refunded", b.Refunded},
		{"waitlisted", b.Waitlisted}, {"in draws", b.Entered}, {"shipped", b.Shipped}, {"received", b.Received}} {
		if x.of.Orders > 0 || x.name == "granted" || x.name == "paid" {
			fmt.Fprintf(t, "%s\t%d orders\t%d units, %s %s\n", x.name, x.of.Orders, x.of.Units,
				cli.Shown(r.Currency), minor(x.of.Amount))
		}
	}
	fmt.Fprintf(t, "resold\t%d units\t\n", r.Resold)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "sold out: %s\n", lasted(&r.SoldOut))
	printReportListings(w, r)
	printReportDoors(w, &r.Doors)
	fmt.Fprintf(w, "\nswitches at %s (%d units granted in that second): %s\n", r.Switches.At, r.Switches.Granted,
		settingsShown(r.Switches.Switches))
	if len(r.Incidents) > 0 {
		fmt.Fprint(w, "\nincidents\n")
	}
	for i := range r.Incidents {
		fmt.Fprintln(w, "  "+cli.Shown(incidentLine(&r.Incidents[i])))
	}
	if r.MoreIncidents > 0 {
		fmt.Fprintf(w, "  and %d more\n", r.MoreIncidents)
	}
	for i, n := range r.Notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, "note: "+cli.Shown(n))
	}
	return nil
}

// minor is an amount in minor units, said so: how many make a unit differs by currency.
func minor(amount int64) string { return fmt.Sprintf("%d (minor units)", amount) }

func lasted(s *wire.ReportSoldOut) string {
	switch {
	case s.FirstGrant == "":
		return "nothing was granted"
	case s.Seconds == nil:
		return "no"
	}
	return fmt.Sprintf("%.3f s after the first grant, %.3f s after the opening", *s.Seconds, *s.SecondsFromStart)
}

func printReportListings(w io.Writer, r *wire.SessionReport) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nlisting\tstock\tgranted\tpaid\tfree\theld\tresold\tsold out\n")
	for i := range r.Listings {
		l := &r.Listings[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", cli.Shown(l.SKU), l.Stock, l.Books.Granted.Units,
			l.Books.Paid.Units, l.Available, l.Held, l.Resold, lasted(&l.SoldOut))
	}
	_ = t.Flush() // of w, which the rest is written to, too
}

func printReportDoors(w io.Writer, d *wire.ReportDoors) {
	fmt.Fprintf(w, "\ncounted by %d of %d nodes\n", d.Counted, d.Of)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, of := range []struct {
		name   string
		counts map[string]int64
	}{{"told", d.Answers}, {"refused for", d.Reasons}, {"by risk lists", d.Risk.Lists},
		{"by the risk service", d.Risk.Service}} {
		if len(of.counts) > 0 {
			fmt.Fprintf(t, "%s\t%s\n", of.name, countsShown(of.counts))
		}
	}
	for _, class := range []string{"all", "granted", "refused", "processing"} {
		if l, ok := d.Latency[class]; ok {
			fmt.Fprintf(t, "%s\t%d in p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms\n", class, l.Grabs, l.P50MS, l.P99MS,
				l.P999MS)
		}
	}
	_ = t.Flush()
}

// countsShown gives the largest first.
func countsShown(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", cli.Shown(name), counts[name])
	}
	return strings.Join(names, ", ")
}

func incidentLine(x *wire.ReportIncident) string {
	said := x.At + " " + x.What + " " + x.Name
	for _, part := range []struct{ before, text string }{{" at node ", x.Node}, {" about ", x.About},
		{" of ", x.Session}, {" by ", x.Operator}, {": ", x.Detail}, {" (", x.Note}} {
		if part.text != "" {
			said += part.before + part.text
		}
	}
	if x.Note != "" {
		said += ")"
	}
	if x.Times > 1 {
		said += fmt.Sprintf(", %d times", x.Times)
	}
	switch {
	case x.What == "deed" || x.What == "leader":
	case x.Until == "":
		said += ", still on"
	default:
		said += ", until " + x.Until
	}
	return said
}
