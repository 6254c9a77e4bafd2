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

// Forget drops the endpoints for which keep is false: those that discovery has taken away.
func (u *UpstreamStats) Forget(keep func(address string) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for address := range u.endpoints {
		if !keep(address) {
			delete(u.endpoints, address)
		}
	}
}

// EndpointStats counts the attempts at one endpoint, by error code or else by class of status.
type EndpointStats struct {
	classes [len(classes)]atomic.Uint64
	codes   []atomic.Uint64 // by codeIndex
}

// Ended counts an attempt that is over. err is why it, or the body of its response, broke off.
func (e *EndpointStats) Ended(a *core.Attempt, err error) {
	code := a.Code
	if err != nil {
		code = codeOf(err)
	}
	if code != "" {
		e.codes[codeIndex(code)].Add(1)
		return
	}
	e.classes[classOf(a.Status)].Add(1)
}

func codeOf(err error) core.Code {
	if e, ok := core.AsError(err); ok {
		return e.Code
	}
	return otherCode
}
