package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"doorbuster/httpapi/input"
)

// maxAnswerBytes bounds an answer: a change for each of a plan's listings.
const maxAnswerBytes = 64 << 20

// What asks for a change whose outcome it does not hear asks again with the same key.
const (
	mostTries = 4
	pause     = 500 * time.Millisecond
)

// Config says which node is asked, and how.
type Config struct {
	// Addr is host:port of the admin API, or a URL where something before the node speaks
	// TLS; required.
	Addr string
	// Token is an operator's; "" asks without one, as a node in --dev lets everybody.
	Token string
	// Timeout bounds a whole request with all its tries; of uploads and streams, how long the
	// node may be silent. Default 30 s.
	Timeout time.Duration
	// Key is the Idempotency-Key of a change whose outcome was not heard. Default: one is
	// made for each change.
	Key string
	// Look says where to look whether a change was made, for errors that leave it open.
	Look string
	// Names are what errors call the fields above.
	Names Names
}

// Names are what errors call the fields of a Config, where a person sets them by other
// names. Default: their own.
type Names struct{ Addr, Token, Timeout, Key string }

// Client asks one node. Safe for concurrent use.
type Client struct {
	cfg  Config
	base string
	http *http.Client
}

// New makes a client, or says what is wrong with cfg.
func New(cfg Config) (*Client, error) {
	n := &cfg.Names
	n.Addr, n.Token = cmp.Or(n.Addr, "Addr"), cmp.Or(n.Token, "Token")
	n.Timeout, n.Key = cmp.Or(n.Timeout, "Timeout"), cmp.Or(n.Key, "Key")
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	base := cfg.Addr
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%s %q is not an address such as 127.0.0.1:8081", n.Addr, cfg.Addr)
	}
	return &Client{cfg, strings.TrimSuffix(u.String(), "/"), &http.Client{
		// A proxy from the environment, and redirects that would drop what is sent or carry the
		// token elsewhere, are not for a node's admin API.
		Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Do asks for path and reads the answer into answer. body is sent as JSON; nil for none.
// A change is asked for again while its outcome is not heard.
func (c *Client) Do(ctx context.Context, method, path string, body, answer any) error {
	if body == nil {
		return c.send(ctx, method, path, content{}, answer)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode what is asked: %w", err)
	}
	return c.send(ctx, method, path, content{"application/json", text}, answer)
}

// content is a body and its type; nil is none.
type content struct {
	kind string
	text []byte
}

// send is Do with a body of any type.
func (c *Client) send(ctx context.Context, method, path string, body content, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	key := c.key(method)
	try := func() error {
		var from io.Reader
		if body.text != nil {
			from = bytes.NewReader(body.text)
		}
		request, err := c.Request(ctx, method, path, body.kind, from)
		if err != nil {
			return err
		}
		if key != "" {
			request.Header.Set(keyHeader, key)
		}
		response, err := c.Open(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
		if err != nil {
			return c.Broken(err, method != http.MethodGet)
		}
		return c.Decode(text, answer)
	}
	if method == http.MethodGet {
		return try()
	}
	return c.insist(ctx, key, try, func() bool { return true })
}

const keyHeader = "Idempotency-Key"

// key gives the key of a request, "" where there is nothing to be done once.
func (c *Client) key(method string) string {
	if method == http.MethodGet {
		return ""
	}
	if c.cfg.Key != "" {
		return c.cfg.Key
	}
	return rand.Text()
}

// insist asks for a change until its outcome is heard, a few times. again makes the
// request anew; false where it can't.
func (c *Client) insist(ctx context.Context, key string, try func() error, again func() bool) error {
	for n := 1; ; n++ {
		err := try()
		var refused *Refused
		if !errors.Is(err, ErrUnheard) && !(errors.As(err, &refused) && refused.Passes()) {
			return err
		}
		if n < mostTries && ctx.Err() == nil && again() {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
				continue
			}
		}
		return fmt.Errorf("%w; the same command with %s %s does it once, whether or not it is done already",
			err, c.cfg.Names.Key, key)
	}
}

// Request prepares one for Open, with the operator's token; kind is the body's type.
func (c *Client) Request(ctx context.Context, method, path, kind string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.cfg.Addr, err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	if c.cfg.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	return request, nil
}

// Open sends a request, once, and gives the answer if that is a 200, for the caller to
// close its body.
func (c *Client) Open(request *http.Request) (*http.Response, error) {
	changing := request.Method != http.MethodGet
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.Broken(err, changing)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, c.Broken(err, changing)
	}
	if response.StatusCode == http.StatusAccepted {
		awaits := &Awaits{}
		if err := c.Decode(text, &awaits.Approval); err != nil {
			return nil, err
		}
		return nil, awaits
	}
	return nil, c.Refusal(response.StatusCode, text)
}

// Decode reads what a node answered.
func (c *Client) Decode(text []byte, answer any) error {
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of %s is not one of a node's admin API; is %s right? (%s)",
			c.cfg.Addr, c.cfg.Names.Addr, input.Wrong(err, len(text)))
	}
	return nil
}
