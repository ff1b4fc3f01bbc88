package main

import (
	"errors"
	"net"
	"testing"
)

// held is a listener whose Close waits for ever.
type held struct{ net.Listener }

func (held) Close() error { select {} }

// TestStopWithAHangingDisk: a node that is being stopped still hears that its
// disk hangs, instead of waiting for it.
func TestStopWithAHangingDisk(t *testing.T) {
	hangs := errors.New("the disk hangs")
	n := &node{shopperListener: held{}, fatal: make(chan error, 1), endWork: func() {}}
	n.fatal <- hangs
	if err := n.stop(); !errors.Is(err, hangs) {
		t.Errorf("got %v", err)
	}
}
