package settled

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// background is what runs beside readers, once Start was called.
type background struct {
	wakes chan struct{}
	end   context.CancelFunc // nil before Start
	done  sync.WaitGroup
}

func (b *background) wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

func (b *background) stop() {
	if b.end != nil {
		b.end()
	}
	b.done.Wait()
}

// Start has files looked at and checked in the background, and missing ones received
// from peers, who are nil for a node that is alone. Close ends that. Call it once.
func (s *Store) Start(peers Peers) {
	ctx, end := context.WithCancel(context.Background())
	s.background.end = end
	s.background.done.Go(func() { s.run(ctx, peers) })
}

func (s *Store) run(ctx context.Context, peers Peers) {
	retry, again := time.NewTicker(s.cfg.RetryEvery), time.NewTicker(s.cfg.CheckEvery)
	defer retry.Stop()
	defer again.Stop()
	limit := rate.NewLimiter(rate.Limit(s.cfg.CheckBytes), max(s.cfg.CheckBytes, readBytes))
	anew := false
	for {
		for _, x := range s.all() {
			if ctx.Err() == nil {
				s.head(x) // what is wrong with it is condemned, and said there
			}
		}
		s.checkAll(ctx, anew, limit.WaitN)
		if peers != nil {
			s.fill(ctx, peers)
		}
		anew = false
		select {
		case <-ctx.Done():
			return
		case <-s.background.wakes:
		case <-retry.C:
			s.findLost()
		case <-again.C:
			anew = true
		}
	}
}

// checkAll reads the files that have not been checked, or all. It is slow on purpose,
// so it keeps no reader from checking the same file faster.
func (s *Store) checkAll(ctx context.Context, anew bool, pace pace) {
	for _, x := range s.all() {
		f := x.file.Load()
		if f == nil || f.checked.Load() && !anew {
			continue
		}
		err := f.read(ctx, pace)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.condemn(x, f, err)
		}
	}
}

// findLost notices files that have gone.
func (s *Store) findLost() {
	slots := s.all() // before the names: what comes meanwhile is there
	files := make([]*file, len(slots))
	for i, x := range slots {
		files[i] = x.file.Load()
	}
	there, err := s.list(false)
	if err != nil {
		return
	}
	for i, x := range slots {
		if _, ok := there[x.want.Handle]; !ok && files[i] != nil {
			s.condemn(x, files[i], fs.ErrNotExist)
		}
	}
}

// fill receives what is missing. What nobody can send now is asked for again later.
func (s *Store) fill(ctx context.Context, peers Peers) {
	failed := 0
	var why error
	for _, h := range s.Missing() {
		if ctx.Err() != nil {
			return
		}
		if err := s.Receive(ctx, h, func(offset int64) ([]byte, int64, error) {
			return peers.SessionChunk(ctx, h,
				offset)
		}); err != nil {
			failed++
			why = err
		}
	}
	if failed > 0 && ctx.Err() == nil {
		s.cfg.Log.Warn("settled sessions' files are missing, and no other node has sent them", "files", failed, "error", why)
	}
}
