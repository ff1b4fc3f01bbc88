package operate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
)

// maxTimeout is the longest that a command waits for a node.
const maxTimeout = time.Hour

// nodeOptions are the flags of the commands that ask a node.
type nodeOptions struct {
	admin, tokenFile, output string
	adminFlag                string // what admin is called; "" is --admin
	asJSON                   bool   // --json, the same as --output json
	timeout                  time.Duration
	note                     string
	key                      string // of what is to be done once; minted where none is given
	look                     string // the command that reports whether a change was made; "" is cluster status
	breaks                   string // what it means that no whole answer came; "" is that look tells
}

// command fills in what these commands have in common. check tells what is wrong with
// the command line beyond the shared flags; it may be nil.
func (o *nodeOptions) command(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	c.Args = cli.NoArguments
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := o.validate()
		if check != nil {
			err = errors.Join(check(), err)
		}
		if err != nil {
			return cli.Usage(err)
		}
		return run(c)
	}
	flags := c.Flags()
	flags.StringVar(&o.admin, "admin", "", "`address` of a node's admin API, such as 127.0.0.1:8081")
	flags.StringVar(&o.tokenFile, "token-file", "",
		"`file` with the ops token (else $DOORBUSTER_TOKEN; a node in --dev needs none)")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.BoolVar(&o.asJSON, "json", false, "the same as --output json")
	// Over what a node takes for a change of the cluster, so that its word comes first.
	flags.DurationVar(&o.timeout, "timeout", 40*time.Second, "how long to wait for the node")
	return c
}

// keyed is command for what is done once.
func (o *nodeOptions) keyed(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	o.command(c, check, run)
	c.Flags().StringVar(&o.key, "idempotency-key", "",
		"`key` of a command whose outcome was not heard: what was done with it is not done again")
	return c
}

// change is keyed for what may say why.
func (o *nodeOptions) change(c *cobra.Command, check func() error, run func(*cobra.Command) error) *cobra.Command {
	o.keyed(c, check, run)
	c.Flags().StringVar(&o.note, "note", "", "why, for the audit trail")
	return c
}

// validate reports every problem of the shared flags at once.
func (o *nodeOptions) validate() error {
	if o.asJSON {
		o.output = "json"
	}
	var problems []error
	bad := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	bad(o.admin == "", "no node: name its admin API with --admin ADDR, such as 127.0.0.1:8081")
	if _, err := client.New(o.config("")); o.admin != "" && err != nil {
		problems = append(problems, err)
	}
	bad(o.output != "text" && o.output != "json", "--output %q is neither text nor json", o.output)
	bad(o.key != "" && !engine.ValidKey([]byte(o.key)),
		"--idempotency-key is not 1 to 255 printable ASCII characters without a space")
	bad(o.timeout <= 0 || o.timeout > maxTimeout,
		"--timeout %s is not over 0s and at most %s", o.timeout, maxTimeout)
	return errors.Join(problems...)
}

// config is how the flags have a node asked.
func (o *nodeOptions) config(token string) client.Config {
	if o.key == "" {
		o.key = rand.Text()
	}
	look := "it may be done or not: look with 'doorbuster " + cmp.Or(o.look, "cluster status") + "' before asking again"
	return client.Config{Addr: o.admin, Token: token, Timeout: o.timeout, Key: o.key, Look: cmp.Or(o.breaks, look),
		Names: client.Names{Addr: cmp.Or(o.adminFlag, "--admin"), Token: "--token-file or $DOORBUSTER_TOKEN",
			Timeout: "--timeout", Key: "--idempotency-key"}}
}

// asks gives the client of a command.
func (o *nodeOptions) asks() (*client.Client, error) {
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	return client.New(o.config(token))
}

// token reads the operator's: never from a flag, where others could read it.
func (o *nodeOptions) token() (string, error) {
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

// asking gives what a command does that asks the node by get and prints the answer: as
// the node said it for --output json, else by print.
func asking[A any](o *nodeOptions, get func(context.Context, *client.Client) (*A, error),
	print func(io.Writer, *A) error) func(*cobra.Command) error {
	return func(c *cobra.Command) error {
		node, err := o.asks()
		if err != nil {
			return err
		}
		answer, err := get(c.Context(), node)
		var awaits *client.Awaits
		if errors.As(err, &awaits) && o.output == "json" {
			err = errors.Join(err, cli.PrintJSON(c.OutOrStdout(), awaits.Approval))
		}
		if err != nil {
			return err
		}
		if o.output == "json" {
			return cli.PrintJSON(c.OutOrStdout(), answer)
		}
		return print(c.OutOrStdout(), answer)
	}
}

// line prints what tell says.
func line[A any](tell func(*A) string) func(io.Writer, *A) error {
	return func(w io.Writer, answer *A) error {
		_, err := fmt.Fprintln(w, tell(answer))
		return err
	}
}
