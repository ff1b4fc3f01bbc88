package settled

import "sync"

// background is what runs beside readers, once Start was called.
type background struct {
	wakes chan struct{}
	end   func()
	done  sync.WaitGroup
}

func (b *background) init() { b.wakes = make(chan struct{}, 1) }

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
