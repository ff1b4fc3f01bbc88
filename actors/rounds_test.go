package actors

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/engine"
)

// TestLooksShareARound: whoever comes while the leader is being asked waits for
// the next question, and all of them for the same one.
func TestLooksShareARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		var served atomic.Int64
		asked, answer := make(chan int), make(chan struct{})
		asks := 0
		ask := func(context.Context) error {
			asks++
			asked <- asks
			<-answer
			return nil
		}
		look := func() {
			if err := r.await(ask); err != nil {
				t.Error(err)
			}
			served.Add(1)
		}
		go look()
		if n := <-asked; n != 1 {
			t.Fatalf("question %d", n)
		}
		const storm = 1000
		for range storm {
			go look()
		}
		synctest.Wait()
		answer <- struct{}{}
		<-asked
		synctest.Wait()
		if n := served.Load(); n != 1 {
			t.Errorf("%d were served by the question that was asked before they came", n-1)
		}
		answer <- struct{}{}
		synctest.Wait()
		if n := served.Load(); n != 1+storm || asks != 2 {
			t.Errorf("%d served by %d questions, want %d by 2", n, asks, 1+storm)
		}
		go look() // nobody had waited meanwhile
		if n := <-asked; n != 3 {
			t.Errorf("question %d", n)
		}
		answer <- struct{}{}
	})
}

// TestLooksDoNotWaitForEver: where no leader answers, nobody waits longer than
// the display's patience, also not who came in the middle of a round.
func TestLooksDoNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		ask := func(ctx context.Context) error {
			<-ctx.Done()
			return engine.ErrNotLeader
		}
		var lookers sync.WaitGroup
		for i := range 5 {
			lookers.Go(func() {
				time.Sleep(time.Duration(i) * 130 * time.Millisecond)
				since := time.Now()
				if err := r.await(ask); !errors.Is(err, engine.ErrNotLeader) {
					t.Error(err)
				}
				if waited := time.Since(since); waited > displayPatience {
					t.Errorf("looker %d waited %s", i, waited)
				}
			})
		}
		lookers.Wait()
	})
}
