package server

import (
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
)

// Config is one generation of the configuration, as the server runs it.
type Config struct {
	Listeners []Listener
	Runtime   core.Runtime
	Dir       string // folder that relative file names start from
	// Released is called once, after the generation was replaced and its last exchange has ended.
	Released func()
}

// Listener is a listener of one generation.
type Listener struct {
	Name    string
	Config  *ListenerConfig
	Handler core.Handler
	Stats   ConnStats // may be nil
}

// ConnStats counts a listener's connections.
type ConnStats interface {
	Accepted()
	Closed()
}

// generation counts the exchanges that run on a configuration, in shards so that cores do not
// share a cache line.
type generation struct {
	cfg     *Config
	shards  [16]refs
	retired atomic.Bool
	once    sync.Once
}

type refs struct {
	n atomic.Int64
	_ [56]byte
}

func (g *generation) acquire(id uint64) { g.shards[id%16].n.Add(1) }

func (g *generation) release(id uint64) {
	g.shards[id%16].n.Add(-1)
	if g.retired.Load() {
		g.settle()
	}
}

// retire says that no exchange begins on the generation any more.
func (g *generation) retire() {
	g.retired.Store(true)
	g.settle()
}

// settle calls Released when nothing runs. Counts only fall once the generation has retired, so
// shards read one after the other cannot hide an exchange.
func (g *generation) settle() {
	for i := range g.shards {
		if g.shards[i].n.Load() != 0 {
			return
		}
	}
	g.once.Do(func() {
		if g.cfg.Released != nil {
			g.cfg.Released()
		}
	})
}

// active is what a listener serves with: its part of the current generation.
type active struct {
	gen     *generation
	cfg     *ListenerConfig
	handler core.Handler
	stats   ConnStats
}

// begin takes the current configuration for one exchange of the connection id.
func (l *listener) begin(id uint64) *active {
	for {
		a := l.active.Load()
		a.gen.acquire(id)
		if l.active.Load() == a {
			return a
		}
		a.gen.release(id)
	}
}

// refused shows an exchange whose request was not valid to whom the handler wants to see it.
func (a *active) refused(x *core.Exchange) {
	if h, ok := a.handler.(interface{ Refused(x *core.Exchange) }); ok {
		h.Refused(x)
	}
}
