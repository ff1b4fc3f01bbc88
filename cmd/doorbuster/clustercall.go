package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/httpapi/client"
)

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

// client asks the node that the flags name.
func (o *applyOptions) client(look string) (*client.Client, error) {
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	return client.New(o.config(token, look))
}

// config is how the flags have a node asked.
func (o *applyOptions) config(token, look string) client.Config {
	return client.Config{Addr: o.admin, Token: token, Timeout: o.timeout, Key: o.intent(), Look: look, Names: client.Names{
		Addr: "--admin", Token: "--token-file or $DOORBUSTER_TOKEN", Timeout: "--timeout", Key: "--idempotency-key"}}
}

// asks gives the client of a command.
func (o *clusterOptions) asks() (*client.Client, error) {
	return o.client(cmp.Or(o.breaks, "it may be done or not: look with 'doorbuster "+cmp.Or(o.look, "cluster status")+
		"' before asking again"))
}

// call asks the node for path and reads its answer into answer. body is nil for a GET.
func (o *clusterOptions) call(ctx context.Context, path string, body, answer any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	return o.callAs(ctx, method, path, body, answer)
}

// callAs is call with a method of its own; body is nil for none.
func (o *clusterOptions) callAs(ctx context.Context, method, path string, body, answer any) error {
	c, err := o.asks()
	if err != nil {
		return err
	}
	return c.Do(ctx, method, path, body, answer)
}

// request is what a command does: it asks the node by get, and prints the answer: as the node
// said it for --output json, else by print.
func request[A any](c *cobra.Command, o *clusterOptions, get func(context.Context, *client.Client) (*A, error),
	print func(io.Writer, *A) error) error {
	node, err := o.asks()
	if err != nil {
		return err
	}
	answer, err := get(c.Context(), node)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(c.OutOrStdout(), answer)
	}
	return print(c.OutOrStdout(), answer)
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
