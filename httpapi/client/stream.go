package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/httpapi/wire"
)

// maxLineBytes bounds a line of an answer: a report's, with its first findings.
const maxLineBytes = 64 << 20

// Download writes what path gives to to. It fails once nothing has come for
// Config.Timeout; what was written then is worth nothing. kind is the type that the
// answer must have; "" for any.
func (c *Client) Download(ctx context.Context, path, kind string, to io.Writer) (size int64, err error) {
	ctx, moves, end := c.silence(ctx)
	defer end()
	request, err := c.Request(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return 0, err
	}
	response, err := c.Open(request)
	if err != nil {
		return 0, c.silent(ctx, err, false)
	}
	defer response.Body.Close()
	if given := response.Header.Get("Content-Type"); kind != "" && given != kind {
		return 0, fmt.Errorf("%s answered with %q, not with %s; is %s right?",
			c.cfg.Addr, given, kind, c.cfg.Names.Addr)
	}
	from := &heard{from: response.Body, part: moves}
	size, err = io.Copy(to, from)
	if failed := from.failed.Load(); failed != nil {
		return size, c.silent(ctx, c.Broken(*failed, false), false)
	}
	return size, err
}

// Upload is a body that is too large for memory, answered by lines.
type Upload struct {
	Method, Path string
	Type         string    // of the body
	Body         io.Reader // if Keyed, sent again where it is an io.Seeker and the outcome was not heard
	Size         int64     // -1 where it is not known
	Sent         io.Writer // is written what is sent, for progress; may be nil
	// Keyed: the route does once what is asked for with one Idempotency-Key.
	Keyed bool
	// Line gets each line of the answer, and says whether it was the last. Its error ends
	// the upload.
	Line func(text []byte) (last bool, err error)
}

// Upload sends u and reads the answer. It fails once nothing has moved for
// Config.Timeout.
func (c *Client) Upload(ctx context.Context, u Upload) error {
	key := c.key(u.Method)
	let := make(chan struct{}, 1) // go of the body, by the transport: it may read on after an answer
	try := func() error { return c.upload(ctx, u, key, let) }
	if !u.Keyed {
		return try()
	}
	return c.insist(ctx, key, try, func() bool {
		seeker, ok := u.Body.(io.Seeker)
		if !ok {
			return false
		}
		<-let
		_, err := seeker.Seek(0, io.SeekStart)
		return err == nil
	})
}

func (c *Client) upload(ctx context.Context, u Upload, key string, let chan<- struct{}) error {
	ctx, moves, end := c.silence(ctx)
	defer end()
	body := &heard{from: u.Body, part: moves}
	sent := cmp.Or[io.Writer](u.Sent, io.Discard)
	request, err := c.Request(ctx, u.Method, u.Path, u.Type, io.TeeReader(body, sent))
	if err != nil {
		let <- struct{}{}
		return err
	}
	request.Body = letting{request.Body, sync.OnceFunc(func() { let <- struct{}{} })}
	request.ContentLength = u.Size
	request.Header.Set("Expect", "100-continue") // one that is refused need not be sent
	request.Header.Set("Accept", "application/x-ndjson, application/problem+json")
	request.Header.Set(keyHeader, key)
	response, err := c.Open(request)
	failed := body.failed.Load()
	switch {
	case failed != nil:
		return fmt.Errorf("read what is to be sent: %w", *failed)
	case err != nil:
		return c.silent(ctx, err, true)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		moves()
		if last, err := u.Line(lines.Bytes()); last || err != nil {
			return err
		}
	}
	return c.silent(ctx, c.Broken(cmp.Or(lines.Err(), io.ErrUnexpectedEOF), true), true)
}

// letting tells once that it was closed: nobody reads from it any more.
type letting struct {
	io.Reader
	closed func()
}

func (l letting) Close() error {
	l.closed()
	return nil
}

// silence gives a context that ends when moves was not called for Config.Timeout.
func (c *Client) silence(parent context.Context) (ctx context.Context, moves, end func()) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(c.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() { timer.Reset(c.cfg.Timeout) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// silent says of an error under silence's context that the node was silent, if it was.
func (c *Client) silent(ctx context.Context, err error, changing bool) error {
	if cause := context.Cause(ctx); cause != nil && !errors.As(err, new(*Refused)) {
		return c.Broken(cause, changing)
	}
	return err
}

// heard tells of each part that comes.
type heard struct {
	from   io.Reader
	part   func()
	failed atomic.Pointer[error] // nil at the end of a whole body; the transport reads beside an answer
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if n > 0 {
		h.part()
	}
	if err != nil && err != io.EOF {
		h.failed.Store(&err)
	}
	return n, err
}

// Events reads the trail from path on, its events and heartbeats, a line each; begins is
// told the headers of the answer first. It ends with the stream, with ErrSilent where
// nothing came for patience, or with an error of line, as it is.
func (c *Client) Events(ctx context.Context, query url.Values, patience time.Duration,
	begins func(http.Header), line func(text []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(ErrSilent) })
	defer silence.Stop()
	request, err := c.Request(ctx, http.MethodGet, v1+"/events?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/x-ndjson, application/problem+json")
	silent := func(err error) error {
		if context.Cause(ctx) == ErrSilent {
			return fmt.Errorf("%s %w for %s", c.cfg.Addr, ErrSilent, patience)
		}
		return err
	}
	response, err := c.Open(request)
	if err != nil {
		return silent(err)
	}
	defer response.Body.Close()
	begins(response.Header)
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	lines.Split(wholeLines)
	for lines.Scan() {
		silence.Reset(patience)
		if err := line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return silent(fmt.Errorf("%s broke off: %w", c.cfg.Addr, err))
	}
	return nil
}

// FollowCurve reads how a session sells, after a second as Curve does, and then each second. It
// ends with the stream, with ErrSilent where nothing came for Config.Timeout, or with an error
// of each, as it is.
func (c *Client) FollowCurve(ctx context.Context, session string, after int64, each func(*wire.Curve) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.cfg.Timeout, func() { cancel(ErrSilent) })
	defer silence.Stop()
	request, err := c.Request(ctx, http.MethodGet, curvePath(session, after), "", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream, application/problem+json")
	silent := func(err error) error {
		if context.Cause(ctx) == ErrSilent {
			return fmt.Errorf("%s %w for %s", c.cfg.Addr, ErrSilent, c.cfg.Timeout)
		}
		return err
	}
	response, err := c.Open(request)
	if err != nil {
		return silent(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 64<<10), maxLineBytes)
	lines.Split(wholeLines)
	for lines.Scan() {
		silence.Reset(c.cfg.Timeout)
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !found {
			continue
		}
		told := new(wire.Curve)
		if err := c.Decode(data, told); err != nil {
			return err
		}
		if err := each(told); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return silent(fmt.Errorf("%s broke off: %w", c.cfg.Addr, err))
	}
	return nil
}

// ErrSilent: a stream that should have told something at least now and then did not.
var ErrSilent = errors.New("told nothing")

// wholeLines has a scanner leave out what a stream that broke off has half told.
func wholeLines(data []byte, _ bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}
