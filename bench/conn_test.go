package bench

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestConnReadsAnswersInPieces(t *testing.T) {
	body := make([]byte, 3*firstReadBytes)
	for i := range body {
		body[i] = 'x'
	}
	cases := []struct {
		name   string
		pieces []string
		status int
		length int
		err    error
	}{
		{"whole", []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}, 200, 2, nil},
		{"torn", []string{"HTTP/1.1 20", "2 Accepted\r\nContent-Len", "gth: 2\r\n\r", "\nh", "i"}, 202, 2, nil},
		{"lower case", []string{"HTTP/1.1 404 Not Found\r\ncontent-length:2\r\n\r\nno"}, 404, 2, nil},
		{"no body", []string{"HTTP/1.1 204 No Content\r\n\r\n"}, 204, 0, nil},
		{"large", []string{"HTTP/1.1 200 OK\r\nContent-Length: 12288\r\n\r\n", string(body)}, 200, len(body), nil},
		{"no length", []string{"HTTP/1.1 200 OK\r\n\r\nhi"}, 0, 0, errBadAnswer},
		{"no HTTP", []string{"hello\r\n\r\n"}, 0, 0, errBadAnswer},
		{"too long", []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!"}, 0, 0, errBadAnswer},
		{"endless", []string{"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"}, 0, 0, errBadAnswer},
		{"cut off", []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"}, 0, 0, io.ErrUnexpectedEOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				s, err := ln.Accept()
				if err != nil {
					return
				}
				defer s.Close()
				_, _ = s.Read(make([]byte, 64))
				for _, p := range c.pieces {
					_, _ = io.WriteString(s, p)
					time.Sleep(time.Millisecond)
				}
			}()
			conn := newConn([]string{ln.Addr().String()}, 0, 2*time.Second)
			defer conn.close()
			got, err := conn.roundTrip([]byte("GET / HTTP/1.1\r\n\r\n"))
			if !errors.Is(err, c.err) || err == nil && (got.status != c.status || len(got.body) != c.length) {
				t.Errorf("status %d, %d bytes, error %v", got.status, len(got.body), err)
			}
			if err != nil && errors.Is(err, errNotSent) {
				t.Error("it was sent")
			}
		})
	}
}

func TestConnPassesOverADeadAddress(t *testing.T) {
	f := newFakeShop(t, sinNone, nil)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	request := []byte("GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n")
	conn := newConn([]string{dead.Addr().String(), f.shopAddr}, 0, time.Second)
	defer conn.close()
	if got, err := conn.roundTrip(request); err != nil || got.status != 200 {
		t.Errorf("status %d, %v", got.status, err)
	}
	alone := newConn([]string{dead.Addr().String()}, 0, time.Second)
	if _, err := alone.roundTrip(request); !errors.Is(err, errNotSent) {
		t.Errorf("want errNotSent, got %v", err)
	}
}
