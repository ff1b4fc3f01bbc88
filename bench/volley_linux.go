package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// socket is one connection of the loop. Invariant: once sent, exactly one
// request is under way until the loop drains.
type socket struct {
	number  int
	file    *os.File
	fd      int // the file's
	request []byte
	in      []byte
	have    int
	sent    time.Time
	waiting bool
}

// socketReadBytes bounds an answer that the loop can read.
const socketReadBytes = 8 << 10

// fire sends for warmUp unmeasured and then for measured, on one thread with
// epoll. The runtime's own poller would park and wake a goroutine for every
// answer; that costs about as much as the answer itself, and here it would be
// taken from the server.
func (v *volley) fire(ctx context.Context, warmUp, measured time.Duration) (shot, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &loop{volley: v}
	defer l.close()
	if err := l.open(); err != nil {
		return shot{}, fmt.Errorf("volley: %w", err)
	}
	from := time.Now().Add(warmUp)
	l.gauge = newGauge(from, from.Add(measured))
	if err := l.run(ctx); err != nil {
		return shot{}, fmt.Errorf("volley: %w", err)
	}
	return sumShots([]*gauge{l.gauge}), nil
}

// loop is one fire under way.
type loop struct {
	*volley
	gauge   *gauge
	addrs   []string // connections spread over these; none: the volley's own
	epoll   int
	sockets []*socket
}

func (l *loop) open() (err error) {
	if l.addrs == nil {
		l.addrs = []string{l.addr}
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for i := range l.connections {
		s := &socket{number: i, request: bytes.Clone(l.template), in: make([]byte, socketReadBytes)}
		if err := l.dial(s); err != nil {
			return err
		}
		l.sockets = append(l.sockets, s)
	}
	return nil
}

// dial opens a socket's connection, instead of the one that it has.
func (l *loop) dial(s *socket) error {
	if s.file != nil {
		_ = s.file.Close()
	}
	c, err := net.DialTimeout("tcp", l.addrs[s.number%len(l.addrs)], volleyTimeout)
	if err != nil {
		return err
	}
	file, err := c.(*net.TCPConn).File() // a descriptor that the runtime's poller does not watch
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	s.file, s.fd = file, int(file.Fd())
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return fmt.Errorf("non-blocking: %w", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.number)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

func (l *loop) close() {
	for _, s := range l.sockets {
		_ = s.file.Close()
	}
	if l.epoll > 0 {
		_ = unix.Close(l.epoll)
	}
}

func (l *loop) run(ctx context.Context) error {
	for _, s := range l.sockets {
		if _, err := l.send(s, time.Now()); err != nil {
			return err
		}
	}
	var cpu time.Duration
	measuring := false
	heard := time.Now()
	events := make([]unix.EpollEvent, len(l.sockets))
	for under := len(l.sockets); under > 0; {
		n, err := unix.EpollWait(l.epoll, events, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		if n > 0 {
			heard = now
		} else if now.Sub(heard) > volleyTimeout {
			return fmt.Errorf("no answer for %v", volleyTimeout)
		}
		if !measuring && !now.Before(l.gauge.from) {
			measuring, cpu = true, threadCPU()
		}
		stop := now.After(l.gauge.until) || ctx.Err() != nil
		if stop && l.gauge.cpu == 0 {
			l.gauge.cpu = threadCPU() - cpu
		}
		for _, e := range events[:max(0, n)] {
			s := l.sockets[e.Fd]
			whole, err := l.receive(s)
			if err != nil {
				return err
			}
			switch {
			case !whole:
			case stop:
				under--
			default:
				more, err := l.send(s, time.Now())
				if err != nil {
					return err
				}
				if !more {
					under--
				}
			}
		}
	}
	return ctx.Err()
}

// send sends the next shopper's request; more is false if all have come, and the
// measured time then ends.
func (l *loop) send(s *socket, now time.Time) (more bool, err error) {
	if !l.patch(s.request) {
		if now.Before(l.gauge.from) {
			return false, errAllCame
		}
		if now.Before(l.gauge.until) {
			l.gauge.until = now
		}
		return false, nil
	}
	s.have, s.sent, s.waiting = 0, now, true
	return true, l.write(s)
}

// write sends the socket's request.
func (l *loop) write(s *socket) error {
	n, err := unix.Write(s.fd, s.request)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if n < len(s.request) {
		// A few hundred bytes into an empty socket buffer.
		return fmt.Errorf("send: %d of %d bytes taken", n, len(s.request))
	}
	return nil
}

// receive reads what is there and reports whether the answer is whole.
func (l *loop) receive(s *socket) (bool, error) {
	head, total, err := l.read(s)
	if err != nil || total == 0 {
		return false, err
	}
	s.waiting = false
	l.gauge.answered(l.volley, statusOf(s.in[:head]), s.in[head:total], s.sent, time.Now())
	return true, nil
}

// read reads what is there, and gives the length of the answer and of its head once it is
// whole; else 0.
func (l *loop) read(s *socket) (head, total int, err error) {
	n, err := unix.Read(s.fd, s.in[s.have:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, 0, nil
	case err != nil:
		return 0, 0, fmt.Errorf("receive: %w", err)
	case n == 0 && s.have == len(s.in):
		return 0, 0, fmt.Errorf("%w: over %d bytes", errBadAnswer, len(s.in))
	case n == 0 || !s.waiting:
		return 0, 0, fmt.Errorf("receive: the server closed the connection")
	}
	s.have += n
	total, head, err = answerBounds(s.in[:s.have])
	if err != nil || s.have < total {
		return 0, 0, err
	}
	return head, total, nil
}

// threadCPU is the processor time that the calling thread has used.
func threadCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
