package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

// waitEvery is how often wait asks.
const waitEvery = 100 * time.Millisecond

func newWaitCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait ADDR…",
		Short: "Wait until nodes are ready, or others answer",
		Long: `Wait until each address answers. One of a node's admin API, HOST:PORT, does once the
node is ready to serve; a URL does once it answers 200, such as the books of a cashier.
For scripts, after something was started.`,
		Example: `  doorbuster serve --dev --data /tmp/shop & doorbuster wait 127.0.0.1:8081
  doorbuster wait --timeout 2m 10.0.1.1:8081 10.0.1.2:8081 http://127.0.0.1:8090/books`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage(errors.New("no address to wait for, such as 127.0.0.1:8081"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var urls []string
			for _, addr := range args {
				at := addr
				if !strings.Contains(addr, "://") {
					at = "http://" + addr + "/readyz"
				}
				if u, err := url.Parse(at); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
					return cli.Usage(fmt.Errorf("%q is neither HOST:PORT nor a URL", addr))
				}
				urls = append(urls, at)
			}
			c.SilenceUsage = true
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			for _, at := range urls {
				if err := Await(ctx, at); err != nil {
					return fmt.Errorf("%s did not answer within %s: %w", at, timeout, err)
				}
			}
			return nil
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for all of them")
	return c
}

// Await asks until there is a 200. The error is what came of the last try.
func Await(ctx context.Context, at string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	last := errors.New("there was no time to ask")
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		switch {
		case err == nil:
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = errors.New(response.Status)
		case ctx.Err() == nil:
			last = errors.New(engine.PlainNetworkError(err))
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(waitEvery):
		}
	}
}
