package upstream

import (
	"math/rand/v2"
	"slices"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/transport"
)

var realSeams = seams{
	pool: func(address string, cfg transport.Config) roundTripper {
		return transport.NewPool(address, cfg)
	},
	random: rand.Uint64,
}

// newPicker compiles the policy for members, of which there is at least one.
func (u *Upstream) newPicker(members []member) picker {
	switch u.cfg.Balance.Policy {
	case "least":
		return &least{roundRobin: u.newRoundRobin(members)}
	case "random":
		return u.newRandom(members)
	case "ewma":
		return u.newEWMA(members)
	case "hash":
		return u.newHash(members)
	}
	rr := u.newRoundRobin(members)
	return &rr
}

func equalWeights(members []member) bool {
	return !slices.ContainsFunc(members, func(m member) bool { return m.weight != members[0].weight })
}

// choices draws members and takes the better one of two: the power of two choices, which comes
// close to the best of all and does not have everybody run to the same one.
type choices struct {
	members []member
	upTo    []float64 // sums of weights, to draw by; nil: all are drawn alike
	load    func(m *member, now core.Instant) float64
	random  func() uint64
}

// maxDraws is how many pairs are drawn when neither is free.
const maxDraws = 5

func (c *choices) pick(x *core.Exchange, now core.Instant) *Endpoint {
	n := len(c.members)
	if n == 1 {
		if e := c.members[0].e; e.free(x) {
			return e
		}
		return nil
	}
	for range maxDraws {
		i := c.draw(n)
		j := below(c.random(), n-1)
		if j >= i {
			j++
		}
		a, b := &c.members[i], &c.members[j]
		switch freeA, freeB := a.e.free(x), b.e.free(x); {
		case freeA && freeB && c.load(b, now) < c.load(a, now):
			return b.e
		case freeA:
			return a.e
		case freeB:
			return b.e
		}
	}
	return nil
}

func (c *choices) draw(n int) int {
	r := c.random()
	if c.upTo == nil {
		return below(r, n)
	}
	at := float64(r>>11) / (1 << 53) * c.upTo[n-1]
	i, found := slices.BinarySearch(c.upTo, at)
	if found {
		i++
	}
	return min(i, n-1)
}

// newRandom draws the first by weight, and prefers it when both are as busy: at low load each gets
// its share.
func (u *Upstream) newRandom(members []member) *choices {
	c := &choices{members: members, random: u.random, load: func(m *member, _ core.Instant) float64 {
		return float64(m.e.peer.inFlight.Load()) / m.weight
	}}
	if equalWeights(members) {
		return c
	}
	sum := 0.0
	for _, m := range members {
		sum += m.weight
		c.upTo = append(c.upTo, sum)
	}
	return c
}

// unknownCost is the cost of an endpoint of which nothing is known and that is being asked: the
// others get the requests until it has answered.
const unknownCost = 1e18

func (u *Upstream) newEWMA(members []member) *choices {
	decay := u.cfg.Balance.Decay.Std()
	return &choices{members: members, random: u.random, load: func(m *member, now core.Instant) float64 {
		pending := float64(m.e.peer.inFlight.Load())
		cost := m.e.peer.cost.value(now, decay)
		if cost == 0 && pending > 0 {
			return unknownCost + pending
		}
		return cost * (pending + 1) / m.weight
	}}
}
