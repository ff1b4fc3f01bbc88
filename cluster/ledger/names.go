package ledger

import (
	"maps"

	"doorbuster/engine"
)

// names are what handles stand for: immutable, replaced whole.
type names struct {
	sessions map[engine.SessionHandle]string
	listings map[engine.ListingHandle]name
}

func newNames() *names {
	return &names{map[engine.SessionHandle]string{}, map[engine.ListingHandle]name{}}
}

const (
	sessionName = 's'
	listingName = 'l'
)

// learnNames gives what the state calls sessions and listings that n does not know,
// nil if it knows all.
func (n *names) learnNames(s *engine.State) *names {
	if len(s.Sessions()) == len(n.sessions) && len(s.Listings()) == len(n.listings) {
		return nil
	}
	next := &names{maps.Clone(n.sessions), maps.Clone(n.listings)}
	for _, x := range s.Sessions() {
		next.sessions[x.Handle] = x.ID
	}
	for _, x := range s.Listings() {
		next.listings[x.Handle] = name{x.Session, x.SKU, x.Currency}
	}
	return next
}

// putNames writes the names of next that n does not have.
func (w *writing) putNames(n, next *names) error {
	for h, id := range next.sessions {
		if _, known := n.sessions[h]; known {
			continue
		}
		if _, err := w.put(bucketNames, handleKey(sessionName, h), (&name{id: id}).body()); err != nil {
			return err
		}
	}
	for h, x := range next.listings {
		if _, known := n.listings[h]; known {
			continue
		}
		if _, err := w.put(bucketNames, handleKey(listingName, h), x.body()); err != nil {
			return err
		}
	}
	return nil
}

// readNames reads all names from the file, and from where on events are kept.
func (l *Ledger) readNames() {
	n := newNames()
	err := l.look(func(v *viewing) error {
		if first, err := v.first(); err == nil {
			l.keptFrom.Store(uint64(first.Index))
		}
		return v.walk(bucketNames, nil, nil, func(key, body []byte) (bool, error) {
			x, err := nameOf(body)
			if err != nil || len(key) != 5 {
				return false, err
			}
			h := uint32(key[1])<<24 | uint32(key[2])<<16 | uint32(key[3])<<8 | uint32(key[4])
			if key[0] == sessionName {
				n.sessions[engine.SessionHandle(h)] = x.id
			} else {
				n.listings[engine.ListingHandle(h)] = x
			}
			return true, nil
		})
	})
	if err == nil {
		l.names.Store(n)
	}
}

func (l *Ledger) learnNumberer(s *engine.State) {
	if n := s.Numberer(); *l.numberer.Load() != n {
		l.numberer.Store(&n)
	}
}
