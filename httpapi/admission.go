package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"doorbuster/httpapi/auth"
)

// Bounds of the large catalogues that suppliers bring themselves. They keep neither
// operators' lists nor each other waiting, however slow one of them is.
const (
	suppliersAtOnce   = 2
	steadyBytes       = 256 << 10 // come at least in each steadyWithin
	steadyWithin      = time.Minute
	catalogueWithin   = 15 * time.Minute // all of it
	mostAtOnceRefusal = "Another large list is being imported through this node. Wait for it, or ask another node."
)

// oneEach lets a few in at once, each under a name of its own. Safe for concurrent use.
type oneEach struct {
	most int
	mu   sync.Mutex
	in   map[string]bool
}

// enter reports whether there is room; leave is to be called then.
func (o *oneEach) enter(name string) (leave func(), entered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.in[name] || len(o.in) >= o.most {
		return nil, false
	}
	if o.in == nil {
		o.in = map[string]bool{}
	}
	o.in[name] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.in, name)
	}, true
}

// admitImport has few large bodies at a time be read: one of operators, and one of each of a
// few suppliers, whose bodies must come steadily. release is to be called.
func (s *AdminServer) admitImport(r *http.Request) (release func(), err error) {
	if r.ContentLength >= 0 && r.ContentLength <= smallListBytes {
		return func() {}, nil
	}
	who, _ := r.Context().Value(operatorKey{}).(operator)
	if who.Bearer == nil || who.Role != auth.Supplier {
		if !s.importing.TryLock() {
			return nil, refuse(conflict, mostAtOnceRefusal)
		}
		return sync.OnceFunc(s.importing.Unlock), nil
	}
	leave, entered := s.supplying.enter(who.Supplier)
	if !entered {
		return nil, refuse(conflict, "Another large catalogue of yours, or several of others, are being imported "+
			"through this node. Wait for them, or ask another node.")
	}
	now := time.Now()
	r.Body = &steadyBody{ReadCloser: r.Body, began: now, since: now}
	return sync.OnceFunc(leave), nil
}

// errUnsteady is the error for a body that comes too slowly to be waited for.
var errUnsteady = errors.New("the body comes too slowly")

// steadyBody is a body that must not only come, but get on.
type steadyBody struct {
	io.ReadCloser
	began, since time.Time
	got          int // since
}

func (b *steadyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += n
	now := time.Now()
	if err != nil || now.Sub(b.since) < steadyWithin {
		return n, err
	}
	if b.got < steadyBytes || now.Sub(b.began) > catalogueWithin {
		return n, errUnsteady
	}
	b.since, b.got = now, 0
	return n, nil
}

// unsteady is what is said of such a body.
var unsteady = fmt.Sprintf("The catalogue comes too slowly, and nothing was changed: %d KiB a minute at least, and "+
	"all of it within %s. Send it in parts.", steadyBytes>>10, catalogueWithin)
