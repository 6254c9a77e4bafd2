package metrics

import (
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
)

// UpstreamStats counts the attempts at one upstream's endpoints.
type UpstreamStats struct {
	name      string
	mu        sync.Mutex // guards endpoints, while loading and while writing
	endpoints map[string]*EndpointStats
}

// Endpoint returns the counters of an endpoint, the same ones for the same address. It is for the
// upstream to call when it makes the endpoint, not for each attempt.
func (u *UpstreamStats) Endpoint(address string) *EndpointStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.endpoints[address]
	if e == nil {
		e = &EndpointStats{codes: make([]atomic.Uint64, len(codes))}
		u.endpoints[address] = e
	}
	return e
}

// EndpointStats counts the attempts at one endpoint, by error code or else by class of status.
type EndpointStats struct {
	classes [len(classes)]atomic.Uint64
	codes   []atomic.Uint64 // by codeIndex
}

// Ended counts an attempt that is over, by its Code also when that came after a response head: a
// body that broke off is no success.
func (e *EndpointStats) Ended(a *core.Attempt) {
	if a.Code != "" {
		e.codes[codeIndex(a.Code)].Add(1)
		return
	}
	e.classes[classOf(a.Status)].Add(1)
}
