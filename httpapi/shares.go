package httpapi

import "sync"

// shares gives out places, of which there are so many, fairly: once all are taken,
// who has at least two fewer than the one who has most gets one of theirs. So nobody,
// however often they ask, keeps others out. Safe for concurrent use.
type shares struct {
	mu     sync.Mutex
	most   int
	taken  int
	by     map[string][]*place
	having []map[string]struct{} // who has so many
}

// place is one that was given out.
type place struct{ end func() }

func newShares(most int) *shares { return &shares{most: most, by: map[string][]*place{}} }

// enter takes a place for who, or gives nil. end is called, once at most, when it goes
// to somebody else; leave gives it back, if it has not gone.
func (s *shares) enter(who string, end func()) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most {
		largest := len(s.having) - 1
		if len(s.by[who])+1 >= largest {
			return nil
		}
		for loser := range s.having[largest] {
			newest := s.by[loser][largest-1] // those that were there longer have done more
			s.remove(loser, newest)
			newest.end()
			break
		}
	}
	p := &place{end}
	s.set(who, append(s.by[who], p))
	s.taken++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(who, p)
	}
}

// count tells how many places are taken.
func (s *shares) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// remove takes a place from who, if they have it.
func (s *shares) remove(who string, p *place) {
	had := s.by[who]
	for i, one := range had {
		if one == p {
			s.set(who, append(had[:i:i], had[i+1:]...))
			s.taken--
			return
		}
	}
}

// set notes which places somebody has.
func (s *shares) set(who string, has []*place) {
	if had := len(s.by[who]); had > 0 {
		delete(s.having[had], who)
	}
	if s.by[who] = has; len(has) == 0 {
		delete(s.by, who)
	} else {
		for len(s.having) <= len(has) {
			s.having = append(s.having, map[string]struct{}{})
		}
		s.having[len(has)][who] = struct{}{}
	}
	for n := len(s.having); n > 0 && len(s.having[n-1]) == 0; n-- {
		s.having = s.having[:n-1]
	}
}
