package main

import "io"

// heard is a body that tells of each part that comes, and keeps the error that it ended
// with.
type heard struct {
	from   io.Reader
	part   func()
	failed error // nil at the end of a whole body
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if n > 0 {
		h.part()
	}
	if err != nil && err != io.EOF {
		h.failed = err
	}
	return n, err
}
