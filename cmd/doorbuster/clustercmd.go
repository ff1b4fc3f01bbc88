package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/httpapi"
)

// Bounds of what the cluster commands read.
const (
	maxClusterAnswerBytes = 4 << 20
	maxTypedBytes         = 1 << 10
)

// clusterPath leads the routes of the admin API that are about the cluster.
const clusterPath = "/admin/v1/cluster"

func newClusterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Look at a cluster and operate it",
		Long: `Look at a cluster and operate it, through the admin API of any of its nodes.
Only snapshot, backup and promote are about the very node that is asked.`,
		Example: `  doorbuster cluster status --admin 127.0.0.1:8081 --watch
  doorbuster cluster transfer --to b1 --admin 127.0.0.1:8081`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.AddCommand(newClusterStatusCommand(), newClusterJoinCommand(), newClusterRemoveCommand(), newClusterTransferCommand(),
		newClusterSnapshotCommand(), newClusterPromoteCommand(), newClusterZoneAckCommand(), newClusterPreferCommand(),
		newClusterDrainCommand("drain", true), newClusterDrainCommand("undrain", false), newClusterBackupCommand(), newCertsCommand())
	return c
}

// clusterOptions are the flags that the cluster commands share: apply's, as far
// as they are about the node and not about a plan.
type clusterOptions struct {
	applyOptions
	note   string
	asJSON bool   // --json, the same as --output json
	look   string // the command that tells whether a change was made; "" is cluster status
	breaks string // what it means that no whole answer came; "" is that look tells
}

// command fills in what the cluster commands have in common. check tells what is
// wrong with the command line beyond the shared flags; it may be nil.
func (o *clusterOptions) command(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	c.Args = noArguments
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.file = "-" // for apply's own check; nothing reads it
		if o.asJSON {
			o.output = "json"
		}
		err := o.validate()
		if check != nil {
			err = errors.Join(err, check())
		}
		if err != nil {
			return usageError{err}
		}
		c.SilenceUsage = true // what fails from here on is not the command line
		return run(c)
	}
	flags := c.Flags()
	flags.StringVar(&o.admin, "admin", "", "`address` of a node's admin API, such as 127.0.0.1:8081")
	flags.StringVar(&o.tokenFile, "token-file", "", "`file` with the ops token (else $DOORBUSTER_TOKEN; a node in --dev needs none)")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.BoolVar(&o.asJSON, "json", false, "the same as --output json")
	// Over what a node takes for a change of the cluster, so that its word comes first.
	flags.DurationVar(&o.timeout, "timeout", 40*time.Second, "how long to wait for the node")
	return c
}

// change is command for what changes something and may say why.
func (o *clusterOptions) change(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	o.command(c, check, run)
	c.Flags().StringVar(&o.note, "note", "", "why, for the audit trail")
	return c
}

// call asks the node for path and reads its answer into answer. body is nil for a
// GET. Errors say what went wrong and what to do.
func (o *clusterOptions) call(ctx context.Context, path string, body, answer any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	return o.callAs(ctx, method, path, body, answer)
}

// callAs is call with a method of its own; body is nil for none.
func (o *clusterOptions) callAs(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	response, err := o.openAs(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxClusterAnswerBytes))
	if err != nil {
		return o.broken(err, method != http.MethodGet)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of %s is not one of a node's admin API; is --admin right? (%w)", o.admin, err)
	}
	return nil
}

// open asks the node for path with GET and gives its answer if that is a 200; the
// caller closes its body.
func (o *clusterOptions) open(ctx context.Context, path string) (*http.Response, error) {
	return o.openAs(ctx, http.MethodGet, path, nil)
}

// openAs is open with another method, and body as JSON unless it is nil.
func (o *clusterOptions) openAs(ctx context.Context, method, path string, body any) (*http.Response, error) {
	if body == nil {
		return o.request(ctx, method, path, "", nil)
	}
	content, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode what is asked: %w", err)
	}
	return o.request(ctx, method, path, "application/json", bytes.NewReader(content))
}

// request is openAs with a body of any kind; nil for none.
func (o *clusterOptions) request(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	request, err := o.prepare(ctx, method, path, kind, body)
	if err != nil {
		return nil, err
	}
	return o.do(request)
}

// prepare makes a request with the operator's token; kind is the body's.
func (o *clusterOptions) prepare(ctx context.Context, method, path, kind string, body io.Reader) (*http.Request, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	at := strings.TrimSuffix(endpoint, "/admin/v1/plan") + path
	request, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", o.admin, err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, nil
}

// do sends a request and gives the answer if that is a 200.
func (o *clusterOptions) do(request *http.Request) (*http.Response, error) {
	changing := request.Method != http.MethodGet
	// As for apply, no proxies and no redirects: the token is for this node alone.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, o.broken(err, changing)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxClusterAnswerBytes))
	if err != nil {
		return nil, o.broken(err, changing)
	}
	return nil, o.refused(response.StatusCode, response.Status, text)
}

// broken says what to do where no whole answer came. changing tells whether
// something was to be changed.
func (o *clusterOptions) broken(err error, changing bool) error {
	unknown := ""
	switch {
	case o.breaks != "":
		unknown = "; " + o.breaks
	case changing:
		unknown = "; it may be done or not: look with 'doorbuster " + cmp.Or(o.look, "cluster status") + "' before asking again"
	}
	var dial *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dial) && dial.Op == "dial":
		return o.unreached(err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s (--timeout waits longer)%s", o.admin, o.timeout, unknown)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted while %s was asked%s", o.admin, unknown)
	}
	return fmt.Errorf("the answer of %s broke off%s (%w)", o.admin, unknown, err)
}

// errRefused marks what a node said no to.
var errRefused = errors.New("refused")

// refusal is an answer that is no 200.
type refusal struct {
	status int
	error
}

func (r refusal) Unwrap() error { return r.error }

// passes tells whether the same may be answered otherwise a little later: the node
// is not ready, or asked too often, or only what stands before it answered.
func (r refusal) passes() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// refused turns an answer that is no 200 into an error that says what to do.
func (o *clusterOptions) refused(code int, status string, body []byte) error {
	var problem struct { // RFC 9457, and what is wrong line by line
		Title, Detail string
		Problems      []struct{ Path, Message string }
	}
	said := status
	if json.Unmarshal(body, &problem) == nil && problem.Title+problem.Detail != "" {
		said = problem.Detail
		if said == "" {
			said = problem.Title
		}
	}
	hint := ""
	switch code {
	case http.StatusUnauthorized:
		hint = "; name an ops token with --token-file or $DOORBUSTER_TOKEN"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if problem.Detail == "" || strings.HasPrefix(problem.Detail, "No route") {
			hint = "; is --admin the admin address, not the shoppers' one, and the node's build new enough?"
		}
	}
	for _, p := range problem.Problems {
		hint += "\n  " + shown(p.Path+": "+p.Message)
	}
	return refusal{code, fmt.Errorf("%s %w this (%d): %s%s", o.admin, errRefused, code, shown(strings.TrimSuffix(said, ".")), hint)}
}

// operate posts body and tells what came of it: as the node said it for
// --output json, else as the lines of tell.
func (o *clusterOptions) operate(c *cobra.Command, path string, body map[string]any, answer any, tell func() string) error {
	if o.note != "" {
		body["note"] = o.note
	}
	if err := o.call(c.Context(), path, body, answer); err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(c.OutOrStdout(), answer)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), tell())
	return err
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func newClusterJoinCommand() *cobra.Command {
	var o clusterOptions
	var m httpapi.Member
	c := o.change(&cobra.Command{
		Use:   "join --id ID --zone ZONE --peer HOST:PORT --admin ADDR",
		Short: "Let a node into the cluster",
		Long: `Let a node into the cluster. It is sent the state, and if it is to vote, votes
once it has caught up. The id must be a new one: a node that was taken out, or
whose disk was lost, comes back as another.`,
		Example: `  doorbuster cluster join --id a3 --zone a --peer 10.0.1.3:8082 --admin 127.0.0.1:8081
  doorbuster cluster join --id c1 --zone c --kind witness --peer 10.0.3.1:8082 --admin 127.0.0.1:8081`,
	}, func() error {
		var problems []error
		for _, flag := range [...]struct{ name, value, what string }{
			{"--id", m.ID, "the id of the node, such as a3"}, {"--zone", m.Zone, "its failure domain, such as a"},
			{"--peer", m.Peer, "where the other nodes reach it, such as 10.0.1.3:8082"},
		} {
			if flag.value == "" {
				problems = append(problems, fmt.Errorf("no %s: %s", flag.name, flag.what))
			}
		}
		switch m.Kind {
		case httpapi.KindVoter, httpapi.KindWitness, httpapi.KindEdge:
		default:
			problems = append(problems, fmt.Errorf("--kind %q is none of voter, witness, edge", m.Kind))
		}
		return errors.Join(problems...)
	}, func(c *cobra.Command) error {
		var joined httpapi.Member
		return o.operate(c, clusterPath+"/join", map[string]any{"id": m.ID, "zone": m.Zone, "kind": m.Kind, "peer": m.Peer}, &joined,
			func() string {
				// Only for the advice: without it there is less to copy.
				var status httpapi.ClusterStatus
				_ = o.call(c.Context(), clusterPath, nil, &status)
				return joinAdvice(joined, &status)
			})
	})
	c.Flags().StringVar(&m.ID, "id", "", "`id` of the node, one that the cluster has not had before")
	c.Flags().StringVar(&m.Zone, "zone", "", "its failure domain")
	c.Flags().StringVar(&m.Peer, "peer", "", "`host:port` that the other nodes reach it at")
	c.Flags().StringVar(&m.Kind, "kind", httpapi.KindVoter, "voter; witness (votes, serves no shoppers); edge (serves shoppers, has no vote)")
	return c
}

// joinAdvice says that m is let in, and what is to be done on the node itself.
func joinAdvice(m httpapi.Member, s *httpapi.ClusterStatus) string {
	does := map[string]string{
		httpapi.KindVoter: "It votes once it has caught up.", httpapi.KindWitness: "It votes once it has caught up, and serves no shoppers.",
		httpapi.KindEdge: "It serves shoppers once it has caught up, and has no vote.",
	}[m.Kind]
	var b strings.Builder
	fmt.Fprintf(&b, `%[1]s of zone %[2]s is let in as %[3]s. %[4]s

Now on the node itself:
  1. Give it an empty data directory, and a certificate for %[1]s by the CA of this cluster.
  2. Have this in its config; among the nodes are others, not itself:
       node: %[1]s
       zone: %[2]s
       peer: %[5]s
       cluster:
         id: %[6]s
         ca: ca.crt
         cert: %[1]s.crt
         key: %[1]s.key
         nodes:
`, shown(m.ID), shown(m.Zone), article(m.Kind), does, shown(m.Peer), shown(cmp.Or(s.Cluster, "(the id of this cluster)")))
	for _, n := range s.Nodes {
		if n.ID == m.ID || n.Peer == "" {
			continue
		}
		kind := ""
		if n.Kind != "" && n.Kind != httpapi.KindVoter {
			kind = ", kind: " + n.Kind
		}
		fmt.Fprintf(&b, "           - %s\n", shown(fmt.Sprintf("{id: %s, zone: %s%s, peer: %q}", n.ID, n.Zone, kind, n.Peer)))
	}
	b.WriteString(`  3. Start it: doorbuster serve --config FILE
It shows in 'doorbuster cluster status' with its lag.`)
	return b.String()
}

func article(kind string) string {
	if kind == httpapi.KindEdge {
		return "an edge node"
	}
	return "a " + shown(kind)
}

func newClusterRemoveCommand() *cobra.Command {
	var o clusterOptions
	var node string
	c := o.change(&cobra.Command{
		Use:   "remove --node ID --admin ADDR",
		Short: "Take a node out of the cluster for good",
		Long: `Take a node out of the cluster for good. It is refused where the nodes left could
not decide any more. To keep shoppers away for a while, drain the node instead.`,
		Example: `  doorbuster cluster remove --node a3 --admin 127.0.0.1:8081`,
	}, func() error {
		if node == "" {
			return errors.New("no node: name the one to take out with --node, such as a3")
		}
		return nil
	}, func(c *cobra.Command) error {
		var answer struct {
			Removed string `json:"removed"`
		}
		return o.operate(c, clusterPath+"/remove", map[string]any{"node": node}, &answer, func() string {
			return fmt.Sprintf("%s is out of the cluster. Stop it; it can come back only with an empty data directory, under a new id.", shown(answer.Removed))
		})
	})
	c.Flags().StringVar(&node, "node", "", "`id` of the node")
	return c
}

func newClusterTransferCommand() *cobra.Command {
	var o clusterOptions
	var to string
	c := o.change(&cobra.Command{
		Use:   "transfer [--to ID] --admin ADDR",
		Short: "Hand leadership to another node",
		Example: `  doorbuster cluster transfer --admin 127.0.0.1:8081           # to the best one
  doorbuster cluster transfer --to b1 --admin 127.0.0.1:8081`,
	}, nil, func(c *cobra.Command) error {
		var answer struct {
			Leader string `json:"leader"`
		}
		return o.operate(c, clusterPath+"/transfer", map[string]any{"to": to}, &answer,
			func() string { return shown(answer.Leader) + " leads." })
	})
	c.Flags().StringVar(&to, "to", "", "`id` of the node that is to lead (default: the best one)")
	return c
}

func newClusterSnapshotCommand() *cobra.Command {
	var o clusterOptions
	return o.change(&cobra.Command{
		Use:   "snapshot --admin ADDR",
		Short: "Take a snapshot on the node that is asked",
	}, nil, func(c *cobra.Command) error {
		var answer struct {
			LogIndex uint64 `json:"log_index"`
		}
		return o.operate(c, clusterPath+"/snapshot", map[string]any{}, &answer,
			func() string { return fmt.Sprintf("The snapshot holds the state at log index %d.", answer.LogIndex) })
	})
}

func newClusterZoneAckCommand() *cobra.Command {
	var o clusterOptions
	var mode string
	c := o.change(&cobra.Command{
		Use:   "zone-ack --mode off|prefer|require --admin ADDR",
		Short: "Change when another zone must have what shoppers are told",
		Long: `Change what is waited for before a shopper hears anything:
  require  a voter of another zone has it on disk. Losing a zone loses nothing
           that anybody was told; while the other zone is away, nothing is granted.
  prefer   the same while there is another zone; without one it goes on after a
           moment, with an alarm.
  off      a quorum has it, in whatever zones that is.`,
		Example: `  doorbuster cluster zone-ack --mode prefer --note "b is being moved" --admin 127.0.0.1:8081`,
	}, func() error {
		switch mode {
		case httpapi.ZoneAckOff, httpapi.ZoneAckPrefer, httpapi.ZoneAckRequire:
			return nil
		case "":
			return errors.New("no mode: say --mode off, prefer or require")
		}
		return fmt.Errorf("--mode %q is none of off, prefer, require", mode)
	}, func(c *cobra.Command) error {
		var answer struct {
			Mode string `json:"mode"`
		}
		return o.operate(c, clusterPath+"/zone-ack", map[string]any{"mode": mode}, &answer,
			func() string { return "Zone ack is " + shown(answer.Mode) + "." })
	})
	c.Flags().StringVar(&mode, "mode", "", "off, prefer or require")
	return c
}

func newClusterPreferCommand() *cobra.Command {
	var o clusterOptions
	var zone string
	var none bool
	c := o.change(&cobra.Command{
		Use:   "prefer (--zone ZONE | --none) --admin ADDR",
		Short: "Name the zone that leadership is to be in",
		Example: `  doorbuster cluster prefer --zone a --admin 127.0.0.1:8081
  doorbuster cluster prefer --none --admin 127.0.0.1:8081`,
	}, func() error {
		if (zone == "") == !none {
			return errors.New("say --zone ZONE or --none, one of them")
		}
		return nil
	}, func(c *cobra.Command) error {
		var answer struct {
			Zone string `json:"zone"`
		}
		return o.operate(c, clusterPath+"/prefer", map[string]any{"zone": zone}, &answer, func() string {
			if answer.Zone == "" {
				return "Leadership may be in any zone."
			}
			return "Leadership is to be in zone " + shown(answer.Zone) + "."
		})
	})
	c.Flags().StringVar(&zone, "zone", "", "the `zone`")
	c.Flags().BoolVar(&none, "none", false, "no zone is better than another")
	return c
}

func newClusterDrainCommand(name string, on bool) *cobra.Command {
	var o clusterOptions
	var node, zone string
	short, long, told := "Let shoppers come to a node or a zone again", "Let shoppers come to a node or a zone again, and leadership too.", "%s takes shoppers again."
	if on {
		short = "Keep new shoppers away from a node or a zone, for maintenance"
		long = `Keep new shoppers away from a node or a zone: /readyz says so to the load
balancer, and leadership moves elsewhere. Who is inside is served to the end.`
		told = "%s takes no new shoppers. Wait until the load balancer has seen it, then go on; 'doorbuster cluster undrain' ends it."
	}
	c := o.change(&cobra.Command{
		Use: name + " (--node ID | --zone ZONE) --admin ADDR", Short: short, Long: long,
		Example: fmt.Sprintf("  doorbuster cluster %[1]s --node a1 --admin 127.0.0.1:8081\n  doorbuster cluster %[1]s --zone a --admin 127.0.0.1:8081", name),
	}, func() error {
		if (node == "") == (zone == "") {
			return errors.New("say --node ID or --zone ZONE, one of them")
		}
		return nil
	}, func(c *cobra.Command) error {
		body, what := map[string]any{"node": node}, "Node "+node
		if zone != "" {
			body, what = map[string]any{"zone": zone}, "Zone "+zone
		}
		var answer httpapi.Drain
		return o.operate(c, clusterPath+"/"+name, body, &answer, func() string { return fmt.Sprintf(told, what) })
	})
	c.Flags().StringVar(&node, "node", "", "`id` of a node")
	c.Flags().StringVar(&zone, "zone", "", "a `zone`, with all its nodes")
	return c
}

// promoteAnswer is a plan, and whether it was carried out.
type promoteAnswer struct {
	Promoted bool `json:"promoted"`
	httpapi.PromotePlan
}

func newClusterPromoteCommand() *cobra.Command {
	var o clusterOptions
	var zone string
	var yes, dryRun bool
	c := o.change(&cobra.Command{
		Use:   "promote --zone ZONE --admin ADDR",
		Short: "Make the surviving zone take over after a quorum was lost",
		Long: `Make the surviving zone take over, for good, after the zone with the majority was
lost. Ask the node that is to take over, by its own admin API. It says what it
will do and what it can't know, and asks. What was read is what is done: where
things have changed in the meantime, it is refused.

The cluster's generation is raised, and the nodes of the lost zone are refused
when they come back: they join from scratch, under new ids. While a quorum
lives, there is nothing to promote, and it is refused; see 'cluster transfer'.`,
		Example: `  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --dry-run
  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --note "room a burns"
  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --yes   # asks nothing`,
	}, func() error {
		switch {
		case zone == "":
			return errors.New("no zone: name the one that is to take over with --zone, such as b")
		case yes && dryRun:
			return errors.New("--yes and --dry-run contradict each other")
		case o.output == "json" && !yes && !dryRun:
			return errors.New("--output json asks nothing: say --yes or --dry-run with it")
		}
		return nil
	}, func(c *cobra.Command) error {
		var plan promoteAnswer
		if err := o.call(c.Context(), clusterPath+"/promote", map[string]any{"zone": zone, "dry_run": true}, &plan); err != nil {
			return err
		}
		out := c.OutOrStdout()
		if o.output == "json" && (dryRun || plan.Refusal != "") {
			if err := printJSON(out, plan); err != nil {
				return err
			}
		} else if o.output != "json" {
			if _, err := io.WriteString(out, promoteText(&plan.PromotePlan)); err != nil {
				return err
			}
		}
		switch {
		case plan.Refusal != "":
			return fmt.Errorf("it can't be done now; nothing was changed: %s", shown(plan.Refusal))
		case dryRun:
			return nil
		case !yes:
			typed, err := ask(c, "\nType the zone's name to go on, anything else to leave it: ")
			if err != nil {
				return err
			}
			if typed != zone {
				return fmt.Errorf("%q is not %s; nothing was changed", typed, zone)
			}
		}
		var done promoteAnswer
		return o.operate(c, clusterPath+"/promote", map[string]any{"zone": zone, "token": plan.Token}, &done, func() string {
			return fmt.Sprintf("\n%s of zone %s takes over, in generation %d. Follow it with 'doorbuster cluster status'.", shown(done.Node), shown(done.Zone), done.NextGeneration)
		})
	})
	c.Flags().StringVar(&zone, "zone", "", "the `zone` that is to take over")
	c.Flags().BoolVar(&yes, "yes", false, "go on without asking")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what it would do")
	return c
}

// promoteText is a plan as an operator reads it.
func promoteText(p *httpapi.PromotePlan) string {
	var b strings.Builder
	heard := "never heard since the start"
	if p.LeaderHeardAgo != "" {
		heard = "last heard " + p.LeaderHeardAgo + " ago"
	}
	fmt.Fprintf(&b, "Node %s of zone %s, generation %d, term %d, zone ack %s.\nIts log ends at index %d, of which %d is applied. The leader was %s.\n",
		shown(p.Node), shown(p.Zone), p.Generation, p.Term, shown(p.ZoneAck), p.LastIndex, p.AppliedIndex, shown(heard))
	if len(p.Unreachable) > 0 {
		fmt.Fprintf(&b, "Out of reach: %s.\n", shown(strings.Join(p.Unreachable, ", ")))
	}
	for _, part := range [...]struct {
		head  string
		lines []string
	}{{"Promote will", p.Will}, {"It can't know", p.CannotKnow}} {
		if len(part.lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", part.head)
		for _, line := range part.lines {
			fmt.Fprintf(&b, "  - %s\n", shown(line))
		}
	}
	return b.String()
}

// ask reads a line from standard input. Nothing there is an answer of "".
func ask(c *cobra.Command, question string) (string, error) {
	if _, err := io.WriteString(c.OutOrStdout(), question); err != nil {
		return "", err
	}
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() { // an interrupt must not wait for a line that never comes
		text, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), maxTypedBytes)).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-c.Context().Done():
		return "", errors.New("interrupted; nothing was changed")
	case typed := <-read:
		if typed.err != nil && !errors.Is(typed.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", typed.err)
		}
		return strings.TrimSpace(typed.text), nil
	}
}
