package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestLeaderCatchesUpWithItsFollowers: without the zone rule a follower may have
// applied, and shown, what the leader has only committed. Then the leader is not
// certain, nor may it say so to others, before it has applied that itself.
func TestLeaderCatchesUpWithItsFollowers(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	leader := c.leader()
	if _, err := leader.tick(); err != nil {
		t.Fatal(err)
	}
	c.eventually("the leader is not certain of itself", leader.Current)
	follower := c.seats[0]
	if follower == leader {
		follower = c.seats[1]
	}
	if follower.Current() {
		t.Error("a follower is certain without asking")
	}
	leader.fsm.hold.Lock() // what it applies waits
	landed := make(chan error, 1)
	go func() {
		_, err := leader.tick()
		landed <- err
	}()
	before := leader.applied.load()
	c.eventually("the follower does not get ahead", func() bool { return follower.applied.load() > before })
	if leader.Current() {
		t.Error("the leader is certain, and behind a follower")
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := leader.Sync(short); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("the leader's own Sync: %v", err)
	}
	if index, err := (handler{n: leader.Node}).Barrier(short); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("what it tells others: %d, %v", index, err)
	}
	leader.fsm.hold.Unlock()
	if err := <-landed; err != nil {
		t.Fatal(err)
	}
	c.eventually("the leader stays uncertain", leader.Current)
	if index, err := (handler{n: leader.Node}).Barrier(t.Context()); index <= before || err != nil {
		t.Errorf("afterwards it tells others %d, %v; it was at %d", index, err, before)
	}
}

// TestWhatIsBeingAppliedIsTold: a door of the leader may show what an entry did before
// the leader counts it as applied. Others are not told of less meanwhile.
func TestWhatIsBeingAppliedIsTold(t *testing.T) {
	for _, mode := range []ZoneAck{ZoneAckOff, ZoneAckPrefer} {
		c := openTrio(t, mode)
		leader := c.leads("a1")
		if _, err := leader.tick(); err != nil {
			t.Fatal(err)
		}
		c.eventually("the leader is not certain", leader.Current)
		before := leader.applied.load()
		observer := &stuck{reached: make(chan struct{}), letGo: make(chan struct{})}
		leader.fsm.hold.Lock()
		leader.fsm.observer = observer
		leader.fsm.hold.Unlock()
		landed := make(chan error, 1)
		go func() {
			_, err := leader.tick()
			landed <- err
		}()
		<-observer.reached
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if index, err := (handler{n: leader.Node}).Barrier(short); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("%v: while an entry is applied others are told %d, %v; it was at %d", mode, index, err, before)
		}
		cancel()
		close(observer.letGo)
		if err := <-landed; err != nil {
			t.Fatal(err)
		}
		if index, err := (handler{n: leader.Node}).Barrier(t.Context()); index <= before || err != nil {
			t.Errorf("%v: afterwards it tells others %d, %v; it was at %d", mode, index, err, before)
		}
	}
}

// TestHeldEntriesKeepNobodyWaiting: under the zone rule nobody is ahead of the
// leader, so what is committed and not zone-acked does not count.
func TestHeldEntriesKeepNobodyWaiting(t *testing.T) {
	c := openTrio(t, ZoneAckRequire)
	leader := c.leads("a1")
	if _, err := leader.tick(); err != nil {
		t.Fatal(err)
	}
	c.seat("b1").leave(t)
	go func() { _, _ = leader.tick() }() // ends when the node does
	c.eventually("nothing is held", func() bool { held, _ := leader.fsm.holding(); return held != 0 })
	c.eventually("the leader is not certain", leader.Current)
	if err := c.seat("a2").Sync(t.Context()); err != nil {
		t.Error(err)
	}
}
