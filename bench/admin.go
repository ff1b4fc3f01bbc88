package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
)

// Counts is the shop's own account of a listing, in units; Waitlisted and
// Shoppers count heads.
type Counts struct {
	Stock      int64  `json:"stock"`
	Available  int64  `json:"available"`
	Held       int64  `json:"held"`
	Paid       int64  `json:"paid"`
	Waitlisted int64  `json:"waitlisted"`
	Shoppers   int64  `json:"shoppers"`
	State      string `json:"state"`
	LogIndex   uint64 `json:"log_index"`
}

// still reports whether two accounts show the same units in the same places.
func (c Counts) still(d Counts) bool {
	return c.Stock == d.Stock && c.Available == d.Available && c.Held == d.Held && c.Paid == d.Paid &&
		c.Waitlisted == d.Waitlisted
}

// admin asks the operations API of one node, and of the next one when that does
// not answer. Safe for concurrent use.
type admin struct {
	client  *fasthttp.Client
	addrs   []string
	at      atomic.Uint32 // the address to ask is addrs[at % len(addrs)]
	token   string
	timeout time.Duration
}

// newAdmin takes addresses separated by commas, at least one.
func newAdmin(addrs, token string, timeout time.Duration) *admin {
	return &admin{
		client: &fasthttp.Client{
			MaxConnsPerHost: 16,
			ReadTimeout:     timeout, WriteTimeout: timeout,
			MaxResponseBodySize: maxAnswerBytes,
		},
		addrs: strings.Split(addrs, ","),
		token: token, timeout: timeout,
	}
}

func (a *admin) addr() string { return a.addrs[a.at.Load()%uint32(len(a.addrs))] }

// hop turns from an address that did not answer to the next one.
func (a *admin) hop() { a.at.Add(1) }

// adminTries is how often a question is asked: a shop that just lost its
// leader answers again within seconds.
const adminTries = 20

// get asks for path and decodes the answer into v.
func (a *admin) get(ctx context.Context, path string, v any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	var err error
	for try := range adminTries {
		req.SetRequestURI("http://" + a.addr() + path)
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(250 * time.Millisecond):
			}
		}
		err = a.client.DoTimeout(req, resp, a.timeout)
		switch {
		case err != nil:
			err = fmt.Errorf("GET %s: %w", path, err)
			a.hop()
			continue
		case resp.StatusCode() >= 500:
			err = fmt.Errorf("GET %s: status %d", path, resp.StatusCode())
			a.hop()
			continue
		case resp.StatusCode() != 200:
			return fmt.Errorf("GET %s: status %d: %.200s", path, resp.StatusCode(), resp.Body())
		}
		if err = json.Unmarshal(resp.Body(), v); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		return nil
	}
	return err
}

// once asks a single time, of the address that is next.
func (a *admin) once(path string, v any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + a.addr() + path)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if err := a.client.DoTimeout(req, resp, a.timeout); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	if resp.StatusCode() != 200 {
		return fmt.Errorf("GET %s: status %d: %.200s", path, resp.StatusCode(), resp.Body())
	}
	if err := json.Unmarshal(resp.Body(), v); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// survey reads the counts of all listings, in their sequence.
func (a *admin) survey(ctx context.Context, listings []Listing) ([]Counts, error) {
	all := make([]Counts, len(listings))
	for i, l := range listings {
		if err := a.get(ctx, "/admin/v1/sessions/"+l.Session+"/skus/"+l.SKU, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addStock puts up more units, more than 0, once however often it has to ask.
func (a *admin) addStock(l Listing, more int64) (err error) {
	key := uuid.NewString()
	for try := range adminTries {
		if try > 0 {
			time.Sleep(250 * time.Millisecond)
		}
		if err = a.send(context.Background(), fasthttp.MethodPost,
			"/admin/v1/sessions/"+l.Session+"/skus/"+l.SKU+"/stock",
			"application/json", key, fmt.Appendf(nil, `{"units":%d}`, more)); err == nil {
			return nil
		}
	}
	return err
}

// send changes something, with one request; once for all requests with a key.
func (a *admin) send(ctx context.Context, method, path, contentType, key string, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + a.addr() + path)
	req.Header.SetMethod(method)
	req.Header.SetContentType(contentType)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	req.SetBody(body)
	if err := a.client.DoTimeout(req, resp, a.timeout); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode() >= 300 {
		return fmt.Errorf("%s %s: status %d: %.200s", method, path, resp.StatusCode(), resp.Body())
	}
	return nil
}

// orders calls each for every order of a session.
func (a *admin) orders(ctx context.Context, session string, each func(order)) error {
	seen := make(map[string]bool)
	for cursor := ""; ; {
		var page struct {
			Orders []order `json:"orders"`
			Cursor string  `json:"cursor"`
		}
		path := "/admin/v1/orders?session=" + url.QueryEscape(session) + "&limit=1000"
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := a.get(ctx, path, &page); err != nil {
			return err
		}
		for _, o := range page.Orders {
			each(o)
		}
		if page.Cursor == "" {
			return nil
		}
		if seen[page.Cursor] {
			return fmt.Errorf("orders of session %s: cursor %q came twice", session, page.Cursor)
		}
		seen[page.Cursor] = true
		cursor = page.Cursor
	}
}
