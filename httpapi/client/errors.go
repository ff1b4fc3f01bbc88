package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"doorbuster/httpapi/input"
	"doorbuster/httpapi/wire"
)

// ErrUnheard: no whole answer came, so that a change may have been made or not.
var ErrUnheard = errors.New("outcome unknown")

// unheard is an error that leaves open what became of a change.
type unheard struct{ error }

func (u unheard) Is(target error) bool { return target == ErrUnheard }
func (u unheard) Unwrap() error        { return u.error }

// Refused is a no of a node, or of what stands before it.
type Refused struct {
	Addr   string
	Status int
	// Problem says why; without detail where the answer was none.
	Problem wire.Problem
	// Hint says what may help the asker; "" if nothing is known to.
	Hint string
}

func (r *Refused) Error() string {
	said := cmp.Or(r.Problem.Detail, r.Problem.Title, fmt.Sprint(r.Status, " ", http.StatusText(r.Status)))
	text := fmt.Sprintf("%s refused this (%d): %s%s", r.Addr, r.Status, shown(strings.TrimSuffix(said, ".")), r.Hint)
	for _, p := range r.Problem.Problems {
		text += "\n  " + shown(p.Path+": "+p.Message)
	}
	return text
}

// Passes reports whether the same may be answered otherwise a little later: the node is
// not ready, or asked too often, or only what stands before it answered.
func (r *Refused) Passes() bool {
	switch r.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Awaits is a change that was not made yet: a second operator must approve it, unless somebody
// has decided about it already.
type Awaits struct{ Approval wire.Approval }

func (a *Awaits) Error() string {
	said := fmt.Sprintf("nothing was changed yet: another operator must approve it, by 'doorbuster approvals "+
		"approve %d'", a.Approval.ID)
	if a.Approval.State != "pending" {
		said = fmt.Sprintf("it was asked for before, as approval %d, which is %s", a.Approval.ID, a.Approval.State)
	}
	for _, why := range a.Approval.Why {
		said += "\n  " + shown(why)
	}
	return said
}

// Refusal makes an error of an answer that is no 200.
func (c *Client) Refusal(status int, body []byte) *Refused {
	r := &Refused{Addr: c.cfg.Addr, Status: status}
	if json.Unmarshal(body, &r.Problem) != nil {
		r.Problem = wire.Problem{}
	}
	switch status {
	case http.StatusUnauthorized:
		r.Hint = "; name an ops token with " + c.cfg.Names.Token
	case http.StatusForbidden:
		if r.Problem.Detail == "" {
			r.Hint = "; the token's role does not allow it"
		}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if r.Problem.Detail == "" || strings.HasPrefix(r.Problem.Detail, "No route") {
			r.Hint = "; is " + c.cfg.Names.Addr + " the admin address, not the shoppers' one, and the node's " +
				"build new enough?"
		}
	}
	return r
}

// Broken says what to do where no whole answer came. changing: something was to be
// changed.
func (c *Client) Broken(err error, changing bool) error {
	if unreached := c.unreached(err); unreached != nil {
		return unreached
	}
	addr, unknown := c.cfg.Addr, ""
	if changing {
		unknown = "; it may be done or not"
		if c.cfg.Look != "" {
			unknown = "; " + c.cfg.Look
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer from %s within %s (%s waits longer)%s",
			addr, c.cfg.Timeout, c.cfg.Names.Timeout, unknown)
	case errors.Is(err, context.Canceled):
		err = fmt.Errorf("interrupted while %s was asked%s", addr, unknown)
	default:
		err = fmt.Errorf("the answer of %s broke off%s (%w)", addr, unknown, err)
	}
	if changing {
		return unheard{err}
	}
	return err
}

// unreached says what to do where nothing was sent; nil if that is not so.
func (c *Client) unreached(err error) error {
	addr, flag := c.cfg.Addr, c.cfg.Names.Addr
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing answers at %s: is the node running, and is %s the address of its admin API? (%w)",
			addr, flag, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s speaks plain HTTP, and was asked in TLS; nothing was sent. A node itself has no TLS: "+
			"say http://, or name what stands before it", addr)
	case unencrypted(err):
		return fmt.Errorf("%s can't be asked in TLS; nothing was sent: %w", addr, err)
	case errors.As(err, &dns):
		return fmt.Errorf("no host of the name in %s %s (%w)", flag, addr, err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%s can't be reached: is %s right, and does the network lead there? (%w)", addr, flag, err)
	}
	return nil
}

// unencrypted reports whether TLS could not be agreed on: then nothing was asked.
func unencrypted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert)
}

// shown gives text as a terminal may have it.
func shown(s string) string {
	if strings.ContainsFunc(s, input.Steers) {
		return strconv.Quote(s)
	}
	return s
}
