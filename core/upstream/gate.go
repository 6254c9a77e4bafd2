package upstream

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// gate bounds the tries under way at all endpoints of an upstream, over its generations, and
// queues those that find no place.
type gate struct {
	active  atomic.Int64
	waiting atomic.Int64

	mu    sync.Mutex // guards queue
	queue list.List  // of *waiter
}

// waiter is an exchange that waits for a place.
type waiter struct {
	ready chan struct{} // holds one: it may be its turn, or the exchange was cancelled
}

// Close lets a cancelled exchange stop waiting.
func (w *waiter) Close() error {
	select {
	case w.ready <- struct{}{}:
	default:
	}
	return nil
}

// enter takes a place, unless limit are taken; 0 is no limit.
func (g *gate) enter(limit int64) bool {
	if n := g.active.Add(1); limit == 0 || n <= limit {
		return true
	}
	g.active.Add(-1)
	return false
}

// wake tells the first who waits that it may be its turn.
func (g *gate) wake() {
	if g.waiting.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if first := g.queue.Front(); first != nil {
		first.Value.(*waiter).Close()
	}
}

// push adds a waiter unless limit wait already.
func (g *gate) push(limit int) *list.Element {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.queue.Len() >= limit {
		return nil
	}
	g.waiting.Add(1)
	return g.queue.PushBack(&waiter{ready: make(chan struct{}, 1)})
}

// remove takes a waiter away and wakes the next: there may be a place for it too.
func (g *gate) remove(at *list.Element) {
	g.mu.Lock()
	g.queue.Remove(at)
	g.waiting.Add(-1)
	g.mu.Unlock()
	g.wake()
}

func (g *gate) isFirst(at *list.Element) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queue.Front() == at
}

// leave gives a place back.
func (u *Upstream) leave() {
	g := &u.lineage.gate
	g.active.Add(-1)
	g.wake()
}

// admit finds an endpoint with a place for the exchange, and waits for one when all are taken.
func (u *Upstream) admit(x *core.Exchange, pinned *Endpoint) (*Endpoint, error) {
	now := x.LastAttempt().Start
	if pinned == nil && len(u.current(now).members) == 0 {
		return nil, core.Errorf(core.CodeNoEndpoint, "all endpoints are drained")
	}
	if u.limited && u.lineage.gate.waiting.Load() > 0 {
		return u.wait(x, pinned)
	}
	e, err := u.tryAdmit(x, pinned, now)
	switch {
	case e != nil || err != nil:
		return e, err
	case !u.limited:
		return nil, core.Errorf(core.CodeNoEndpoint, "all endpoints have just been ejected")
	}
	return u.wait(x, pinned)
}

// tryAdmit returns neither an endpoint nor an error when the exchange has to wait.
func (u *Upstream) tryAdmit(x *core.Exchange, pinned *Endpoint, now core.Instant) (*Endpoint, error) {
	if u.limited && !u.lineage.gate.enter(u.requests) {
		return nil, nil
	}
	e := pinned
	if e == nil {
		e = u.choose(x, now)
	} else if !e.take(now, true) {
		u.leave()
		return nil, core.Errorf(core.CodeOverflow, "%d requests are under way at %s, which a filter chose", e.limit, e.address)
	}
	if e == nil && u.limited {
		u.lineage.gate.active.Add(-1)
	}
	return e, nil
}

// wait queues the exchange until it gets a place, is cancelled, or has waited for timeout.try.
func (u *Upstream) wait(x *core.Exchange, pinned *Endpoint) (*Endpoint, error) {
	g := &u.lineage.gate
	at := g.push(u.cfg.Limits.Pending)
	if at == nil {
		return nil, core.Errorf(core.CodeOverflow, "limits are reached and %d requests wait already", u.cfg.Limits.Pending)
	}
	defer g.remove(at)
	w := at.Value.(*waiter)
	x.OnCancel(w)
	defer x.OnCancel(nil)
	start := x.LastAttempt().Start
	expired, stop := expiry(start, x.Deadline, u.tryTimeout(x))
	defer stop()
	for {
		if g.isFirst(at) {
			now := core.Now()
			e, err := u.tryAdmit(x, pinned, now)
			if e != nil {
				x.LastAttempt().Start = now
			}
			if e != nil || err != nil {
				return e, err
			}
		}
		select {
		case <-w.ready:
		case <-expired:
			return nil, waitedTooLong(x)
		}
		if x.Cancelled() {
			return nil, core.Errorf(core.CodeCancelled, "given up while it waited for a place")
		}
	}
}

// expiry returns a channel that delivers at deadline or try after start, whichever is earlier; 0 is
// never.
func expiry(start, deadline core.Instant, try time.Duration) (expired <-chan time.Time, stop func()) {
	if try > 0 {
		if by := start.Add(try); deadline == 0 || by < deadline {
			deadline = by
		}
	}
	if deadline == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(deadline.Sub(core.Now()))
	return t.C, func() { t.Stop() }
}

func waitedTooLong(x *core.Exchange) error {
	waited := core.Now().Sub(x.LastAttempt().Start).Round(time.Millisecond)
	code := core.CodeOverflow
	if x.Deadline != 0 && core.Now() >= x.Deadline {
		code = core.CodeTotalTimeout
	}
	return core.Errorf(code, "limits are reached and it has waited for %s", waited)
}
