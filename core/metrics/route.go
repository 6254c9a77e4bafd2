package metrics

import (
	"runtime"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
)

// classes are the label values of a status class; the first is for an exchange that ended with no
// response at all.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) int {
	if c := status / 100; 0 < c && c < len(classes) {
		return c
	}
	return 0
}

// otherCode stands for a code that is not in core's list.
const otherCode core.Code = "other"

// codes are the label values of an error, otherCode the last.
var codes = func() []core.Code {
	var out []core.Code
	for _, info := range core.Codes() {
		out = append(out, info.Code)
	}
	return append(out, otherCode)
}()

// codeIndex searches in line: it runs for failed exchanges only, and most comparisons end at the
// length.
func codeIndex(c core.Code) int {
	for i := range codes {
		if codes[i] == c {
			return i
		}
	}
	return len(codes) - 1
}

// maxShards bounds the memory of a busy route to some 15 KiB.
const maxShards = 16

// RouteStats counts the exchanges of one route, or those of a listener that had none.
type RouteStats struct {
	listener, route string

	// shards are made when first used: of ten thousand routes most see no traffic.
	shards  []atomic.Pointer[routeShard]
	errors  []atomic.Uint64 // by codeIndex
	aborted atomic.Uint64
	retries atomic.Uint64
}

// routeShard is what every exchange counts. Connections are spread over the shards by their serial
// number, so that processors seldom write to the same cache line.
type routeShard struct {
	classes [len(classes)]atomic.Uint64
	latency histogram
}

func newRouteStats(listener, route string) *RouteStats {
	n := 1
	for n < runtime.GOMAXPROCS(0) && n < maxShards {
		n *= 2
	}
	return &RouteStats{
		listener: listener, route: route,
		shards: make([]atomic.Pointer[routeShard], n),
		errors: make([]atomic.Uint64, len(codes)),
	}
}

// Done counts x, which has ended. It implements core.Done, so that registering it costs nothing.
// An exchange that was rerouted passes several routes and counts for the one it ended on.
func (r *RouteStats) Done(x *core.Exchange) {
	if routeName(x) != r.route {
		return
	}
	s := r.shard(x.Client.ID)
	s.classes[classOf(x.Response.Status)].Add(1)
	s.latency.observe(x.Ended.Sub(x.Start))
	if x.Err != nil {
		r.errors[codeIndex(x.Err.Code)].Add(1)
	}
	if x.Aborted {
		r.aborted.Add(1)
	}
	if n := len(x.Attempts); n > 1 {
		r.retries.Add(uint64(n - 1))
	}
}

func routeName(x *core.Exchange) string {
	if x.Route == nil {
		return ""
	}
	return x.Route.Name
}

func (r *RouteStats) shard(id uint64) *routeShard {
	slot := &r.shards[id&uint64(len(r.shards)-1)]
	if s := slot.Load(); s != nil {
		return s
	}
	slot.CompareAndSwap(nil, new(routeShard))
	return slot.Load()
}

// Exchanges returns how many exchanges have ended.
func (r *RouteStats) Exchanges() uint64 {
	var n uint64
	for _, c := range r.byClass() {
		n += c
	}
	return n
}

// Latency returns how long the exchanges took, from the request's first byte to the response's
// last.
func (r *RouteStats) Latency() Latency {
	var l Latency
	for i := range r.shards {
		if s := r.shards[i].Load(); s != nil {
			l.add(&s.latency)
		}
	}
	return l
}

func (r *RouteStats) byClass() (out [len(classes)]uint64) {
	for i := range r.shards {
		s := r.shards[i].Load()
		if s == nil {
			continue
		}
		for c := range out {
			out[c] += s.classes[c].Load()
		}
	}
	return out
}
