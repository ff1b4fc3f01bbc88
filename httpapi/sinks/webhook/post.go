package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/httpapi/hidden"
)

// Poster posts signed bodies to one URL. It follows no redirect, asks no proxy, and connects
// to no inner address that is not allowed. Safe for concurrent use.
type Poster struct {
	PosterConfig
	http *http.Client
}

// PosterConfig says where bodies are posted, and how.
type PosterConfig struct {
	URL, ContentType string
	Header           http.Header // besides those of Standard Webhooks; nil: none
	Timeout          time.Duration
	Connections      int            // at once
	Allow            []netip.Prefix // inner addresses that may be posted to all the same
}

// NewPoster makes one; whether the URL can be posted to is for CheckURL to say.
func NewPoster(cfg PosterConfig) *Poster {
	d := &dialer{allow: cfg.Allow, lookUp: lookUp}
	d.Timeout = cfg.Timeout
	return &Poster{cfg, &http.Client{
		Transport: &http.Transport{ // no proxy: it would connect to what was not checked
			DialContext: d.dial, TLSHandshakeTimeout: cfg.Timeout, ForceAttemptHTTP2: true,
			DisableCompression: true, MaxConnsPerHost: cfg.Connections, MaxIdleConns: cfg.Connections,
			MaxIdleConnsPerHost: cfg.Connections, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Post posts a body under an id that is the same each time. retryAfter is how long the
// receiver wants to be left alone; 0 if it does not say. An error that is an answer tells its
// status, and none has the URL in it.
func (p *Poster) Post(ctx context.Context, id string, body []byte,
	signers []*standardwebhooks.Webhook) (retryAfter time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, p.Timeout)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL is not valid")
	}
	now := time.Now()
	var signatures []string
	for _, signer := range signers {
		signature, err := signer.Sign(id, now, body)
		if err != nil {
			return 0, fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	for name, values := range p.Header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", p.ContentType)
	r.Header.Set("User-Agent", "doorbuster")
	r.Header.Set(standardwebhooks.HeaderWebhookID, id)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	resp, err := p.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("ask the receiver: %w", hidden.Cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	// What is left of the answer is of no interest, and a short one keeps the connection.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBytes)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return 0, nil
	}
	no := &statusError{status: resp.StatusCode}
	if to := resp.Header.Get("Location"); resp.StatusCode < 400 && to != "" {
		no.redirect = hidden.URL(to).String()
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		retryAfter = min(time.Duration(seconds)*time.Second, mostRetryAfter)
	}
	return retryAfter, no
}

// Close drops the connections.
func (p *Poster) Close() { p.http.CloseIdleConnections() }
