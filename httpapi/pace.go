package httpapi

import (
	"io"
	"net/http"
	"time"

	"doorbuster/httpapi/auth"
)

// pieceBytes is how much of an answer must be taken within the patience that
// anybody has with its reader.
const pieceBytes = 16 << 10

// answer is what a route answers to. It bounds not how long the whole may take but
// how long the other side may leave a part of it untaken, from when the first is
// there.
type answer struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	written  int64
	stalled  *time.Timer // ends the request of a download that does not move; may be nil

	over    func() bool // reports whether the authority of who asked has ended
	sends   bool        // what is sent ends with it
	cut     bool        // and did
	refused bool        // what is brought came too late for it
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	a.moves()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (written int, err error) {
	for first := true; first || len(p) > 0 && err == nil; first = false {
		if a.sends && a.over() {
			a.cut = true
			return written, auth.ErrAuthorityOver
		}
		n := min(len(p), pieceBytes)
		a.moves()
		n, err = a.ResponseWriter.Write(p[:n])
		p = p[n:]
		written += n
	}
	a.written += int64(written)
	return written, err
}

// moves gives the other side its whole patience again. Where there are no
// deadlines, there is none to be in the way.
func (a *answer) moves() {
	if a.stalled != nil {
		a.stalled.Reset(a.patience)
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(a.patience))
}

// pacedBody is a body that may take long as a whole, but not from one part to the
// next; or, without patience, one that has the time of a request.
type pacedBody struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	answer   *answer
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.patience > 0 {
		_ = b.control.SetReadDeadline(time.Now().Add(b.patience))
	}
	n, err := b.ReadCloser.Read(p)
	if b.answer.over() {
		b.answer.refused = true
		b.answer.Header().Set("Connection", "close") // else the answer would wait for the rest of the body
		return 0, auth.ErrAuthorityOver
	}
	if err != nil { // nothing more is read: what is done now may take its time
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// paced gives what a route is to answer to, and bounds its body. over reports whether
// the authority of who asks has ended.
func (s *AdminServer) paced(w http.ResponseWriter, r *http.Request, to *adminRoute, over func() bool) *answer {
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w), patience: s.patience, over: over}
	if r.ContentLength == 0 {
		_ = a.control.SetReadDeadline(time.Time{})
		return a
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodies[to.takes].most)
	body := &pacedBody{ReadCloser: r.Body, control: a.control, answer: a}
	if to.takes != jsonBody && to.takes != noBody {
		body.patience = s.patience
	}
	r.Body = body
	return a
}
