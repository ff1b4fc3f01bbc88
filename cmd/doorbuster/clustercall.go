package main

import (
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

	"doorbuster/httpapi/input"
)

// maxClusterAnswerBytes bounds what a node answers to one of the commands.
const maxClusterAnswerBytes = 4 << 20

// clusterOptions are the flags that the cluster commands share: apply's, as far
// as they are about the node and not about a plan.
type clusterOptions struct {
	applyOptions
	note   string
	look   string // the command that tells whether a change was made; "" is cluster status
	breaks string // what it means that no whole answer came; "" is that look tells
}

// command fills in what the cluster commands have in common. check tells what is
// wrong with the command line beyond the shared flags; it may be nil.
func (o *clusterOptions) command(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	c.Args = noArguments
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.file = "-" // for apply's own check; nothing reads it
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
	o.outputFlags(flags)
	// Over what a node takes for a change of the cluster, so that its word comes first.
	flags.DurationVar(&o.timeout, "timeout", 40*time.Second, "how long to wait for the node")
	return c
}

// change is command for what changes something and may say why.
func (o *clusterOptions) change(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	o.command(c, check, run)
	c.Flags().StringVar(&o.note, "note", "", "why, for the audit trail")
	o.intendFlag(c.Flags())
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
	try := func() error { return o.callOnce(ctx, method, path, body, answer) }
	if method == http.MethodGet {
		return try()
	}
	return o.insist(ctx, try, func() bool { return true })
}

func (o *clusterOptions) callOnce(ctx context.Context, method, path string, body, answer any) error {
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
		return fmt.Errorf("the answer of %s is not one of a node's admin API; is --admin right? (%s)", o.admin, input.Wrong(err, len(text)))
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
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", o.intent())
	}
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
	mark := func(err error) error {
		if changing {
			return unheard{err}
		}
		return err
	}
	var dial *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dial) && dial.Op == "dial", unencrypted(err):
		return o.unreached(err)
	case errors.Is(err, context.DeadlineExceeded):
		return mark(fmt.Errorf("no answer from %s within %s (--timeout waits longer)%s", o.admin, o.timeout, unknown))
	case errors.Is(err, context.Canceled):
		return mark(fmt.Errorf("interrupted while %s was asked%s", o.admin, unknown))
	}
	return mark(fmt.Errorf("the answer of %s broke off%s (%w)", o.admin, unknown, err))
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
