package upstream

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/transport"
)

// lineage is the generations of an upstream and what they share.
type lineage struct {
	name string
	gate gate

	mu          sync.Mutex // guards what follows, and what peer says it does
	generations []*Upstream
	peers       map[string]*peer // by key
}

// join adds a generation. Its endpoints get the peers that are there already, or new ones. New
// ones of a later generation begin with slow start.
func (l *lineage) join(u *Upstream, conf *transportConfig, later bool, open func(string, transport.Config) roundTripper) {
	l.mu.Lock()
	now := core.Now()
	for _, e := range u.endpoints {
		key := e.address + "\n" + conf.key
		p := l.peers[key]
		if p == nil {
			p = &peer{key: key, address: e.address, pool: open(e.address, conf.Config)}
			l.peers[key] = p
			if later {
				p.rampFrom.Store(int64(now))
			}
		}
		p.refs++
		e.peer = p
	}
	l.generations = append(l.generations, u)
	stopped := l.settle(now)
	l.mu.Unlock()
	stop(stopped)
}

// leave removes a generation and closes the peers that no other one has.
func (l *lineage) leave(u *Upstream) {
	l.mu.Lock()
	if u.closed {
		l.mu.Unlock()
		return
	}
	u.closed = true
	l.generations = slices.DeleteFunc(l.generations, func(g *Upstream) bool { return g == u })
	var dead []*peer
	for _, e := range u.endpoints {
		if e.peer.refs--; e.peer.refs == 0 {
			delete(l.peers, e.peer.key)
			dead = append(dead, e.peer)
		}
	}
	stopped := l.settle(core.Now())
	for _, p := range dead {
		if p.checker != nil {
			stopped = append(stopped, p.checker)
			p.checker = nil
		}
	}
	l.mu.Unlock()
	stop(stopped)
	for _, p := range dead {
		p.pool.Close()
	}
}

// settle lets the newest generation that has a peer say how it is checked and whether it may be
// ejected. It returns the checkers that are to be stopped, without l.mu, which they may wait for.
func (l *lineage) settle(now core.Instant) []*checker {
	var stopped []*checker
	for _, p := range l.peers {
		u := l.newestOf(p)
		if u.eject == nil {
			p.out.Store(0)
			p.probed.Store(false)
		}
		h := u.cfg.Health
		switch {
		case p.checker != nil && h != nil && p.checker.settings == h.settings():
			continue
		case p.checker != nil:
			stopped = append(stopped, p.checker)
			p.checker = nil
		}
		if h == nil {
			p.sick.Store(false)
			continue
		}
		p.checker = startChecker(l, p, u)
	}
	l.refresh(now)
	return stopped
}

func (l *lineage) newestOf(p *peer) *Upstream {
	for _, u := range slices.Backward(l.generations) {
		if u.find(p) != nil {
			return u
		}
	}
	panic("upstream: a peer that no generation has")
}

// newest returns the newest generation, nil when there is none.
func (l *lineage) newest() *Upstream {
	if len(l.generations) == 0 {
		return nil
	}
	return l.generations[len(l.generations)-1]
}

// refresh has every generation see what has changed, those who wait for an endpoint too.
func (l *lineage) refresh(now core.Instant) {
	for _, u := range l.generations {
		u.rebuild(now)
	}
	l.gate.wake()
}

// say names a peer as the log does.
func (l *lineage) say(p *peer) string { return fmt.Sprintf("endpoint %s of %s", p.address, l.name) }
