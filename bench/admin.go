package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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
			MaxConnsPerHost: lookupConnections,
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

// call is a request to the operations API.
type call struct {
	method, path     string
	contentType, key string // key "" sends none
	body             []byte
}

// do sends a request once, to the address that is next, and decodes the answer into v,
// if there is one. again says that it may be worth to ask again.
func (a *admin) do(c call, v any) (again bool, err error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + a.addr() + c.path)
	req.Header.SetMethod(c.method)
	for name, value := range map[string]string{"Content-Type": c.contentType, "Idempotency-Key": c.key} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	req.SetBody(c.body)
	if err = a.client.DoTimeout(req, resp, a.timeout); err != nil {
		again = true
	} else if status := resp.StatusCode(); status >= 300 {
		again, err = status >= 500, fmt.Errorf("status %d: %.200s", status, resp.Body())
	} else if v != nil {
		err = json.Unmarshal(resp.Body(), v)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	return again, err
}

// once asks a single time, of the address that is next.
func (a *admin) once(path string, v any) error {
	_, err := a.do(call{method: "GET", path: path}, v)
	return err
}

// ready asks once whether a node is; the error says why not.
func (a *admin) ready() error { return a.once("/readyz", nil) }

// insist asks until there is a clear answer, each time of another address: a shop that
// just lost its leader answers again within seconds.
func (a *admin) insist(ctx context.Context, c call, v any) (err error) {
	const tries, every = 20, 250 * time.Millisecond
	again := true
	for try := 0; again && try < tries; try++ {
		if try > 0 {
			a.hop()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(every):
			}
		}
		again, err = a.do(c, v)
	}
	return err
}

// survey reads the counts of all listings, in their sequence.
func (a *admin) survey(ctx context.Context, listings []Listing) ([]Counts, error) {
	all := make([]Counts, len(listings))
	for i, l := range listings {
		if err := a.insist(ctx, call{method: "GET", path: "/admin" + l.path()}, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// awaitOpen waits until listings are open, and gives their counts.
func (a *admin) awaitOpen(ctx context.Context, listings []Listing, within time.Duration) ([]Counts, error) {
	for until := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		counts, err := a.survey(ctx, listings)
		if err == nil && !slices.ContainsFunc(counts, func(c Counts) bool { return c.State != "open" }) {
			return counts, nil
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("the listings did not open at %s: %+v, %v", a.addr(), counts, err)
		}
	}
}

// stateInfo is what a backup says of the state that it holds.
type stateInfo struct {
	LogIndex uint64 `json:"log_index"`
	Hash     string `json:"hash"`
}

// stateTimeout bounds how long a node takes to hash a large state.
const stateTimeout = time.Minute

// state asks for a backup, and reads no more of it than its head.
func (a *admin) state(ctx context.Context) (s stateInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	const path = "/admin/v1/cluster/backup?state_only=true"
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.addr()+path, nil)
	if err != nil {
		return s, err
	}
	if a.token != "" {
		q.Header.Set("Authorization", "Bearer "+a.token)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	head := make([]byte, 24) // magic, version, the info's length, the state's
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("GET %s: status %d", path, answer.StatusCode)
	}
	if _, err := io.ReadFull(answer.Body, head); err != nil {
		return s, fmt.Errorf("GET %s: %w", path, err)
	}
	info := io.LimitReader(answer.Body, int64(binary.LittleEndian.Uint32(head[12:])))
	if err := json.NewDecoder(info).Decode(&s); err != nil {
		return s, fmt.Errorf("GET %s: %w", path, err)
	}
	return s, nil
}

// addStock puts up more units, more than 0, once however often it has to ask.
func (a *admin) addStock(ctx context.Context, l Listing, more int64) error {
	return a.insist(ctx, call{"POST", "/admin" + l.path() + "/stock", "application/json", uuid.NewString(),
		fmt.Appendf(nil, `{"units":%d}`, more)}, nil)
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
		if err := a.insist(ctx, call{method: "GET", path: path}, &page); err != nil {
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
