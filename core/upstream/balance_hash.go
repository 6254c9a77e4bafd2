package upstream

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluiceproxy/sluice/core"
)

// hashTable finds the endpoints of a hash. It is made of all endpoints of a generation: one that
// is out keeps its place, and its keys alone go elsewhere.
type hashTable interface {
	// first returns the state to begin with for a hash.
	first(hash uint64) uint64
	// owner returns the index of the endpoint at a state.
	owner(state uint64) int
	// next returns the state that follows, for when the owner cannot be used.
	next(state uint64) uint64
}

// newHashTable returns nil when the policy is another one, or all endpoints are drained.
func newHashTable(b *Balance, endpoints []*Endpoint) hashTable {
	sum := 0
	for _, e := range endpoints {
		sum += e.weight
	}
	switch {
	case b.Policy != "hash" || sum == 0:
		return nil
	case b.Table == "maglev":
		return newMaglev(endpoints)
	}
	return newRing(endpoints, sum)
}

// hash picks by the key of the exchange.
type hash struct {
	key       *core.Template
	table     hashTable
	endpoints []*Endpoint
	member    []bool // by the endpoint's index
	keyless   picker
}

func (u *Upstream) newHash(members []member) *hash {
	h := &hash{
		key: u.cfg.Balance.Key, table: u.table, endpoints: u.endpoints,
		member: make([]bool, len(u.endpoints)), keyless: u.newRandom(members),
	}
	for _, m := range members {
		h.member[m.e.index] = true
	}
	return h
}

func (h *hash) pick(x *core.Exchange, now core.Instant) *Endpoint {
	key := h.key.Eval(x)
	if key == "" {
		return h.keyless.pick(x, now)
	}
	state := h.table.first(hashOf(key))
	for range 8 * len(h.endpoints) {
		if i := h.table.owner(state); h.member[i] && h.endpoints[i].free(x) {
			return h.endpoints[i]
		}
		state = h.table.next(state)
	}
	return nil
}

// hashOf is FNV-1a, mixed so that all bits depend on all others. It is the same in every process,
// so that several proxies agree.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// rehash returns the hash that follows h in a sequence without end, as SplitMix64 has it.
func rehash(h uint64) uint64 { return mix(h + 0x9e3779b97f4a7c15) }

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// ring has many points of each endpoint on a circle; a hash belongs to the next point. The state
// is a point's index.
type ring []point

type point struct {
	hash  uint64
	owner int
}

// pointsEach is how many points an endpoint of average weight has: the shares of keys are then
// within about a tenth of even.
const pointsEach = 160

func newRing(endpoints []*Endpoint, sum int) ring {
	var r ring
	for _, e := range endpoints {
		share := float64(e.weight) * float64(len(endpoints)) / float64(sum)
		at := hashOf(e.address)
		for range int(math.Ceil(pointsEach * share)) {
			at = rehash(at)
			r = append(r, point{at, e.index})
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Or(cmp.Compare(a.hash, b.hash), a.owner-b.owner) })
	return r
}

func (r ring) first(hash uint64) uint64 {
	lo, hi := 0, len(r)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); r[mid].hash < hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return uint64(lo % len(r))
}

func (r ring) owner(state uint64) int { return r[state].owner }

func (r ring) next(state uint64) uint64 { return (state + 1) % uint64(len(r)) }

// maglev is a table of which each endpoint has its share of entries: Eisenbud et al., "Maglev: A
// Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4. The state is a hash.
type maglev []uint16

// maglevSize is prime, so that every step from any offset visits all entries.
const maglevSize = 65537

// newMaglev has the endpoints take turns at filling the table, each by its own permutation. The
// heaviest has a turn in every round, the others in as many as their weight is of its.
func newMaglev(endpoints []*Endpoint) maglev {
	type filler struct {
		at, step uint64
		credit   int
	}
	fillers := make([]filler, len(endpoints))
	heaviest := 0
	for i, e := range endpoints {
		h := hashOf(e.address)
		fillers[i] = filler{at: h % maglevSize, step: rehash(h)%(maglevSize-1) + 1}
		heaviest = max(heaviest, e.weight)
	}
	m := make(maglev, maglevSize)
	taken := make([]bool, maglevSize)
	for filled := 0; ; {
		for i := range fillers {
			f := &fillers[i]
			if f.credit += endpoints[i].weight; f.credit < heaviest {
				continue
			}
			f.credit -= heaviest
			for taken[f.at] {
				f.at = (f.at + f.step) % maglevSize
			}
			taken[f.at], m[f.at] = true, uint16(i)
			if filled++; filled == maglevSize {
				return m
			}
		}
	}
}

func (m maglev) first(hash uint64) uint64 { return hash }

func (m maglev) owner(state uint64) int { return int(m[state%maglevSize]) }

// next draws another entry: the keys of an endpoint that is out are spread over all others.
func (m maglev) next(state uint64) uint64 { return rehash(state) }
