package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// throng sends everybody's first grab on one thread, as a volley does, because a
// goroutine a connection costs more than the shop, in the closed loop. What follows from
// the answers stays on the schedule.
func (r *crowd) throng(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &throng{
		loop:   loop{volley: &volley{connections: min(r.cfg.Connections, r.cfg.Shoppers)}, addrs: r.cfg.Addrs},
		worker: &worker{crowd: r},
	}
	defer l.close()
	if err := l.open(); err != nil {
		return err
	}
	return l.run(ctx)
}

// throng is one under way.
type throng struct {
	loop
	*worker
	asks []throngAsk // by the socket's number
}

type throngAsk struct {
	task
	sent time.Duration
}

func (l *throng) run(ctx context.Context) error {
	l.asks = make([]throngAsk, len(l.sockets))
	under := 0
	for _, s := range l.sockets {
		under += l.next(s)
	}
	events := make([]unix.EpollEvent, len(l.sockets))
	for heard := time.Now(); under > 0; {
		if ctx.Err() != nil {
			l.schedule.stop()
		}
		n, err := unix.EpollWait(l.epoll, events, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll: %w", err)
		}
		if n > 0 {
			heard = time.Now()
		} else if time.Since(heard) > volleyTimeout {
			return fmt.Errorf("no answer for %v", volleyTimeout)
		}
		for _, e := range events[:max(0, n)] {
			s := l.sockets[e.Fd]
			head, total, err := l.read(s)
			if err == nil && total == 0 {
				continue
			}
			if s.waiting {
				l.tell(s, reply{status: statusOf(s.in[:head]), body: s.in[head:total]}, err)
				under--
			}
			if err != nil {
				if err := l.dial(s); err != nil {
					return err
				}
			}
			under += l.next(s)
		}
	}
	return nil
}

// next sends the next shopper's grab and gives how many that are.
func (l *throng) next(s *socket) int {
	t, ok := l.schedule.arrive()
	if !ok {
		return 0
	}
	t.listing = l.cfg.intentOf(t.shopper).listing
	s.request = l.requests.appendGrab(s.request[:0], t.shopper, t.listing, t.click)
	l.asks[s.number] = throngAsk{t, l.now()}
	s.have, s.waiting = 0, true
	if err := l.write(s); err != nil {
		// What has come of it is asked at the end; the socket is read next, and opened anew.
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR)
	}
	return 1
}

// tell takes down an answer, or that there was none.
func (l *throng) tell(s *socket, got reply, err error) {
	s.waiting = false
	t := l.asks[s.number]
	addr := l.cfg.Addrs[s.number%len(l.cfg.Addrs)]
	l.answered(t.task, ask{t.shopper, t.listing, t.click, t.sent, l.now(), false, addr}, got, err)
}
