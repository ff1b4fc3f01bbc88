package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/httpapi/input"
	"doorbuster/httpapi/plan"
)

// Bounds of what apply reads from a node.
const (
	maxApplyAnswerBytes = 64 << 20 // a change for each of a plan's listings
	maxApplyTimeout     = time.Hour
)

// applyOptions are the flags of apply.
type applyOptions struct {
	file, admin, tokenFile, output string
	asJSON                         bool // --json, the same as --output json
	dryRun                         bool
	timeout                        time.Duration
	key                            string // of what is to be done once; minted where none is given
}

func newApplyCommand() *cobra.Command {
	o := applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE --admin ADDR",
		Short: "Make products, sales, sessions and listings match a plan file",
		Long: `Apply makes the products, sales, sessions and listings of a node match a plan
file: it creates what is missing, changes what differs and says what it did.
What the plan does not name stays as it is, so the same file applied again
changes nothing. What operators have changed since (stock, words, publishing)
stays, too, where the plan says what the last one said: a note tells.

A plan is taken whole or not at all. It is checked here first, and nothing is
sent while it has problems; each of them is told with its line. The node then
holds it against what is on sale already.`,
		Example: `  # See what a plan would do, then do it
  doorbuster apply -f examples/fans-day.yaml --admin 127.0.0.1:8081 --dry-run
  doorbuster apply -f examples/fans-day.yaml --admin 127.0.0.1:8081

  # A node that asks for a token; the plan from another program
  make-plan | doorbuster apply -f - --admin ops.example.com:8081 --token-file ops.token

  # For a script
  doorbuster apply -f plan.yaml --admin 127.0.0.1:8081 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("apply takes no argument %q; name the plan with -f %s", args[0], args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return usageError{err}
			}
			cmd.SilenceUsage = true // what fails from here on is not the command line
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "the plan file, YAML or JSON; - for standard input")
	flags.StringVar(&o.admin, "admin", "", "address of a node's admin API, such as 127.0.0.1:8081")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only tell what would change")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the ops token (else $DOORBUSTER_TOKEN; a node in --dev needs none)")
	o.outputFlags(flags)
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the node")
	o.intendFlag(flags)
	cmd.SetFlagErrorFunc(badFlag)
	return cmd
}

// outputFlags say how to tell what came of it.
func (o *applyOptions) outputFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.BoolVar(&o.asJSON, "json", false, "the same as --output json")
}

// validate reports every problem of the command line at once.
func (o *applyOptions) validate() error {
	if o.asJSON {
		o.output = "json"
	}
	var problems []error
	if o.file == "" {
		problems = append(problems, errors.New("no plan: name it with -f FILE, or -f - for standard input"))
	}
	if o.admin == "" {
		problems = append(problems, errors.New("no node: name its admin API with --admin ADDR, such as 127.0.0.1:8081"))
	} else if _, err := o.endpoint(); err != nil {
		problems = append(problems, err)
	}
	if o.output != "text" && o.output != "json" {
		problems = append(problems, fmt.Errorf("--output %q is neither text nor json", o.output))
	}
	if err := o.validIntent(); err != nil {
		problems = append(problems, err)
	}
	if o.timeout <= 0 || o.timeout > maxApplyTimeout {
		problems = append(problems, fmt.Errorf("--timeout %s is not over 0s and at most %s", o.timeout, maxApplyTimeout))
	}
	return errors.Join(problems...)
}

// endpoint gives the URL to send the plan to. ADDR is host:port, or a URL where
// something before the node speaks TLS.
func (o *applyOptions) endpoint() (string, error) {
	base := o.admin
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("--admin %q is not an address such as 127.0.0.1:8081", o.admin)
	}
	u.Path = "/admin/v1/plan"
	if o.dryRun {
		u.RawQuery = "dry_run=true"
	}
	return u.String(), nil
}

func (o *applyOptions) run(cmd *cobra.Command) error {
	text, name, err := o.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	result, problems := plan.Parse(text, plan.Options{Now: time.Now(), File: name})
	if len(problems) > 0 {
		return planRefused(cmd.ErrOrStderr(), problems)
	}
	for _, note := range result.Notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %s\n", name, note)
	}
	token, err := o.token()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	var answer *applyAnswer
	err = o.insist(ctx, func() (err error) {
		answer, err = o.send(ctx, text, token)
		return err
	}, func() bool { return true })
	var refused *planProblems
	if errors.As(err, &refused) {
		return planRefused(cmd.ErrOrStderr(), refused.in(name, result))
	}
	if err != nil {
		return err
	}
	for _, note := range (&planProblems{answer.Notes}).in(name, result) {
		note.Message = "note: " + note.Message
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	if o.output == "json" {
		if answer.Changes == nil {
			answer.Changes = []planChange{} // a list to whoever reads it, if an empty one
		}
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(answer)
	}
	for i, c := range answer.Changes {
		answer.Changes[i].Before, answer.Changes[i].After = result.Local(c.Path, c.Before), result.Local(c.Path, c.After)
	}
	return answer.print(cmd.OutOrStdout())
}

// planRefused tells every problem and gives the error that closes the list.
func planRefused(w io.Writer, problems plan.Problems) error {
	fmt.Fprintln(w, problems.Error())
	if len(problems) == 1 {
		return errors.New("the plan has a problem; nothing was changed")
	}
	return fmt.Errorf("the plan has %d problems; nothing was changed", len(problems))
}

func (o *applyOptions) read(stdin io.Reader) (text []byte, name string, err error) {
	name, from := o.file, stdin
	if o.file == "-" {
		name = "(standard input)"
	} else {
		f, err := os.Open(o.file)
		if err != nil {
			return nil, "", fmt.Errorf("read the plan: %w", err)
		}
		defer f.Close()
		from = f
	}
	// One byte over the bound is enough for the reader to refuse it.
	text, err = io.ReadAll(io.LimitReader(from, plan.MaxFileBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("read the plan: %w", err)
	}
	return text, name, nil
}

func (o *applyOptions) token() (string, error) {
	if o.tokenFile == "" {
		return strings.TrimSpace(os.Getenv("DOORBUSTER_TOKEN")), nil
	}
	const most = 64 << 10
	f, err := os.Open(o.tokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("read the token: %s is not one line with a token", o.tokenFile)
	}
	return token, nil
}

// applyAnswer is what the admin API says of a plan that it took.
type applyAnswer struct {
	Applied bool         `json:"applied"`
	DryRun  bool         `json:"dry_run"`
	Changes []planChange `json:"changes"`
	// Notes are what forbids nothing, and whoever applies the plan should know.
	Notes plan.Problems `json:"notes,omitempty"`
}

type planChange struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// planProblems is the node's refusal of a plan.
type planProblems struct {
	Problems plan.Problems
}

func (p *planProblems) Error() string { return p.Problems.Error() }

// in gives the problems in the order of the file, with its name, and with lines
// where the node named none.
func (p *planProblems) in(name string, result *plan.Result) plan.Problems {
	for i := range p.Problems {
		at := &p.Problems[i]
		at.File = name
		line, column := result.Locate(at.Path)
		if at.Line == 0 || at.Line == line && at.Column == 0 {
			at.Line, at.Column = line, column
		}
	}
	slices.SortStableFunc(p.Problems, func(a, b plan.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p.Problems
}

// send posts the plan. Errors: *planProblems where the node refuses it; else
// what went wrong and what to do.
func (o *applyOptions) send(ctx context.Context, text []byte, token string) (*applyAnswer, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("apply to %s: %w", o.admin, err)
	}
	request.Header.Set("Content-Type", "application/yaml")
	request.Header.Set("Accept", "application/json, application/problem+json")
	request.Header.Set("Idempotency-Key", o.intent())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A proxy from the environment, and redirects that would drop the plan or
	// carry the token elsewhere, are not for a node's admin API.
	client := http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return nil, o.unreached(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxApplyAnswerBytes))
	if err != nil {
		return nil, o.unreached(err)
	}
	if response.StatusCode == http.StatusOK {
		var answer applyAnswer
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("apply to %s: the answer is not one of a node's admin API; is --admin right? (%s)", o.admin, input.Wrong(err, len(body)))
		}
		return &answer, nil
	}
	return nil, o.refusal(response, body)
}

// unreached says what to do where no whole answer came.
func (o *applyOptions) unreached(err error) error {
	const unknown = "the plan may be applied or not"
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing answers at %s: is the node running, and is --admin the address of its admin API? (%w)", o.admin, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s speaks plain HTTP, and was asked in TLS; nothing was sent. A node itself has no TLS: say "+
			"http://, or name what stands before it", o.admin)
	case unencrypted(err):
		return fmt.Errorf("%s can't be asked in TLS; nothing was sent: %w", o.admin, err)
	case errors.As(err, &dns):
		return fmt.Errorf("no host of the name in --admin %s (%w)", o.admin, err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%s can't be reached: is --admin right, and does the network lead there? (%w)", o.admin, err)
	case errors.Is(err, context.DeadlineExceeded):
		return unheard{fmt.Errorf("no answer from %s within %s; %s (--timeout waits longer)", o.admin, o.timeout, unknown)}
	case errors.Is(err, context.Canceled):
		return unheard{fmt.Errorf("interrupted while %s was asked; %s", o.admin, unknown)}
	}
	return unheard{fmt.Errorf("the answer of %s broke off; %s (%w)", o.admin, unknown, err)}
}

// unencrypted tells whether TLS could not be agreed on: then nothing was asked.
func unencrypted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &certificate) || errors.As(err,
		&record) || errors.As(err, &alert)
}

// refusal turns an answer that is no 200 into an error that says what to do.
func (o *applyOptions) refusal(response *http.Response, body []byte) error {
	var problem struct { // RFC 9457, and the plan's own
		Title    string        `json:"title"`
		Detail   string        `json:"detail"`
		Problems plan.Problems `json:"problems"`
	}
	readable := json.Unmarshal(body, &problem) == nil
	if len(problem.Problems) > 0 {
		return &planProblems{problem.Problems}
	}
	said := problem.Detail
	if said == "" {
		said = problem.Title
	}
	if said == "" || !readable {
		said = response.Status
	}
	hint := ""
	switch response.StatusCode {
	case http.StatusUnauthorized:
		hint = "; name an ops token with --token-file or $DOORBUSTER_TOKEN"
	case http.StatusForbidden:
		hint = "; the token's role does not allow it"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		hint = "; is --admin the admin address, not the shoppers' one?"
	case http.StatusServiceUnavailable:
		hint = "; the node has no leader to ask just now, try again"
	}
	return refusal{response.StatusCode, fmt.Errorf("%s refused the plan (%d): %s%s", o.admin, response.StatusCode, strings.TrimSuffix(said, "."), hint)}
}

// print tells the changes in groups, one for the products and one for each sale
// and session, and what they come to.
func (a *applyAnswer) print(w io.Writer) error {
	var b strings.Builder
	paint := paintFor(w)
	created, changed, removed := 0, 0, 0
	group := ""
	for i, c := range a.Changes {
		if g := groupOf(c.Path); g != group {
			if i > 0 {
				b.WriteByte('\n')
			}
			group = g
		}
		switch {
		case c.Before == "":
			created++
			said := ""
			if c.After != "" && c.After != "new" {
				said = ": " + c.After
			}
			b.WriteString(paint(green, shown("+ "+c.Path+said)) + "\n")
		case c.After == "":
			removed++
			b.WriteString(paint(red, shown("- "+c.Path+": "+c.Before)) + "\n")
		default:
			changed++
			b.WriteString(paint(yellow, shown("~ "+c.Path+": "+c.Before+" → "+c.After)) + "\n")
		}
	}
	if len(a.Changes) > 0 {
		b.WriteByte('\n')
	}
	var parts []string
	for _, part := range []struct {
		count int
		what  string
	}{{created, "created"}, {changed, "changed"}, {removed, "removed"}} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.what))
		}
	}
	summary := strings.Join(parts, ", ")
	if summary == "" {
		summary = "nothing to change"
	}
	if a.DryRun {
		summary += "; dry run: nothing was changed"
	}
	b.WriteString(summary + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// groupOf gives the part of a path up to its session, or else its sale; products
// are one group.
func groupOf(path string) string {
	if strings.HasPrefix(path, "products[") {
		return "products"
	}
	for _, within := range []string{".sessions[", "sales["} {
		if i := strings.Index(path, within); i >= 0 {
			if end := strings.IndexByte(path[i:], ']'); end >= 0 {
				return path[:i+end]
			}
		}
	}
	return path
}

// Colours of a terminal, by their SGR numbers.
const (
	red    = 31
	green  = 32
	yellow = 33
)

// paintFor gives what colours a line for w: nothing unless w is a terminal, and
// nothing where NO_COLOR (https://no-color.org) is set.
func paintFor(w io.Writer) func(colour int, line string) string {
	f, file := w.(*os.File)
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if !plain && file {
		info, err := f.Stat()
		plain = err != nil || info.Mode()&os.ModeCharDevice == 0
	}
	if plain || !file {
		return func(_ int, line string) string { return line }
	}
	return func(colour int, line string) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, line) }
}

// shown gives what a node says for a terminal: on one line, and without
// characters that would steer it.
func shown(s string) string {
	if strings.ContainsFunc(s, input.Steers) {
		return strconv.Quote(s)
	}
	return s
}
