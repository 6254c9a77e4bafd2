package upstream

import (
	"math"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
)

// roundRobin is nginx's smooth weighted round robin. Its sequence repeats after as many picks as
// the weights add up to, so it is worked out once, and a pick is one atomic addition.
type roundRobin struct {
	members []member
	turns   []uint16 // index of the member whose turn it is; nil: each in order
	turn    *atomic.Uint64
}

func (u *Upstream) newRoundRobin(members []member) roundRobin {
	rr := roundRobin{members: members, turn: &u.turn}
	if !equalWeights(members) {
		rr.turns = smooth(turnWeights(members))
	}
	return rr
}

// The length of a sequence times its members is the work of making it: maxWork is about 1 ms.
const (
	maxWork  = 1 << 20
	maxTurns = 1 << 14
)

// turnWeights makes the weights small whole numbers of the same proportions. They are exact while
// their sum is below the limit and no slow start is under way.
func turnWeights(members []member) []int {
	most := float64(max(len(members), min(maxTurns, maxWork/len(members))))
	sum, whole := 0.0, true
	for _, m := range members {
		sum += m.weight
		whole = whole && m.weight == math.Trunc(m.weight)
	}
	scale := 1.0
	switch {
	case sum > most:
		scale = most / sum
	case !whole:
		scale = min(rampSteps, most/sum)
	}
	out := make([]int, len(members))
	divisor := 0
	for i, m := range members {
		out[i] = max(1, int(math.Round(m.weight*scale)))
		divisor = gcd(divisor, out[i])
	}
	for i := range out {
		out[i] /= divisor
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// smooth returns the order in which nginx would pick: each turn everybody gains its weight, the
// richest is picked and pays the sum of all weights.
func smooth(weights []int) []uint16 {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	rich := make([]int, len(weights))
	turns := make([]uint16, sum)
	for t := range turns {
		best := 0
		for i, w := range weights {
			rich[i] += w
			if rich[i] > rich[best] {
				best = i
			}
		}
		rich[best] -= sum
		turns[t] = uint16(best)
	}
	return turns
}

// maxSkips is how many turns are passed over because their member is not free.
const maxSkips = 16

func (r *roundRobin) pick(x *core.Exchange, _ core.Instant) *Endpoint {
	turn := r.turn.Add(1) - 1
	for i := range uint64(maxSkips) {
		if e := r.members[r.at(turn+i)].e; e.free(x) {
			return e
		}
	}
	return nil
}

// at returns the index of the member whose turn it is.
func (r *roundRobin) at(turn uint64) int {
	if r.turns == nil {
		return int(turn % uint64(len(r.members)))
	}
	return int(r.turns[turn%uint64(len(r.turns))])
}

// least picks the member with the fewest tries under way for its weight, and among equals the one
// whose turn it is.
type least struct{ roundRobin }

func (l *least) pick(x *core.Exchange, _ core.Instant) *Endpoint {
	n := len(l.members)
	i := l.at(l.turn.Add(1) - 1)
	var best *Endpoint
	bestLoad := math.Inf(1)
	for range n {
		m := &l.members[i]
		if load := float64(m.e.peer.inFlight.Load()) / m.weight; load < bestLoad && m.e.free(x) {
			best, bestLoad = m.e, load
			if load == 0 {
				break
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return best
}
