package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// maxCores is how many a unix.CPUSet has room for.
const maxCores = 1024

// onCores runs something on a thread of its own cores: the last of them for the load,
// the others for a node, so that the load does not take from the node what it measures.
// Processes that it starts keep to these cores, too; goroutines do not. A machine with
// one core is shared.
func onCores(load bool, do func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("cores: %w", err)
	}
	if all.Count() < 2 {
		return do()
	}
	last := maxCores - 1
	for !all.IsSet(last) {
		last--
	}
	if own = all; load {
		own.Zero()
		own.Set(last)
	} else {
		own.Clear(last)
	}
	if err := unix.SchedSetaffinity(0, &own); err != nil {
		return fmt.Errorf("cores: %w", err)
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &all)) }()
	return do()
}

// storm sends stretches of open load, one after the other, and gives what was heard in
// each window of each. A shopper comes when they are due, over a connection that is
// free; where none is they are turned away.
func (v *volley) storm(ctx context.Context, patience time.Duration, stretches []stretch) (all [][]window, err error) {
	l := &squall{loop: loop{volley: v}, patience: patience}
	defer l.close()
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("storm: %w", err)
	}
	l.free = append(l.free, l.sockets...)
	l.events = make([]unix.EpollEvent, len(l.sockets))
	for _, x := range stretches {
		windows, err := l.run(ctx, x)
		if err != nil {
			return nil, fmt.Errorf("storm: %w", err)
		}
		all = append(all, windows)
	}
	return all, nil
}

// squall is a storm under way. Its answers are told by when they are heard.
type squall struct {
	loop
	patience time.Duration
	free     []*socket
	events   []unix.EpollEvent
}

// run sends one stretch.
func (l *squall) run(ctx context.Context, x stretch) (all []window, err error) {
	began, came := time.Now(), 0
	for at := time.Duration(0); at < x.length; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		length := min(windowTime, x.length-at)
		w := window{StormPhase: StormPhase{Rate: x.rate, Seconds: length.Seconds()}}
		for at += length; ; {
			now := time.Since(began)
			if now >= at {
				break
			}
			for due := (pace{x.rate}).count(now); came < due; came++ {
				w.Came++
				last := len(l.free) - 1
				if last < 0 {
					w.TurnedAway++
					continue
				}
				s := l.free[last]
				l.free = l.free[:last]
				if !l.patch(s.request) {
					return nil, errAllCame
				}
				s.have, s.sent, s.waiting = 0, began.Add(pace{x.rate}.due(came)), true
				if err := l.write(s); err != nil { // the node closed it meanwhile
					if err := l.again(s, &w); err != nil {
						return nil, err
					}
				}
			}
			if err := l.hear(&w); err != nil {
				return nil, err
			}
		}
		all = append(all, w)
	}
	return all, nil
}

// hear takes the answers that are there.
func (l *squall) hear(w *window) error {
	n, err := unix.EpollWait(l.epoll, l.events, 0)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range l.events[:max(0, n)] {
		s := l.sockets[e.Fd]
		head, total, err := l.read(s)
		if err != nil {
			if s.waiting {
				err = l.again(s, w)
			} else {
				err = l.dial(s)
			}
			if err != nil {
				return err
			}
			continue
		}
		if total == 0 {
			continue
		}
		s.waiting = false
		l.free = append(l.free, s)
		took := time.Since(s.sent)
		w.heard = append(w.heard, took)
		switch {
		case statusOf(s.in[:head]) != 200 || !bytes.HasPrefix(s.in[head:total], l.want):
			w.OtherAnswer++
		case took > l.patience:
			w.Late++
		default:
			w.Good++
		}
	}
	return nil
}

// again opens a connection anew whose answer will not come.
func (l *squall) again(s *socket, w *window) error {
	w.Broken++
	s.waiting = false
	l.free = append(l.free, s)
	return l.dial(s)
}
