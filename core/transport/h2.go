package transport

import "github.com/sluiceproxy/sluice/core"

type h2Pool struct{}

func (h *h2Pool) close() {}
func (p *Pool) roundTripH2(x *core.Exchange, by core.Instant, end Ender) error {
	return p.roundTrip1(x, by, end)
}
