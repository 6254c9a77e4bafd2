package breaker

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const shardCount = 16

// keys holds the circuits of a breaker by key, up to a number above which the least recently used
// are forgotten.
type keys struct {
	seed    maphash.Seed
	shards  [shardCount]shard
	tripped atomic.Int64 // circuits that are not closed
}

type shard struct {
	mu       sync.Mutex // guards all below; held for a lookup, never for a call
	limit    int
	circuits map[string]*circuit
	used     circuit // ring: next is the most recently used, prev the least
}

func newKeys(limit int) *keys {
	k := &keys{seed: maphash.MakeSeed()}
	for i := range k.shards {
		s := &k.shards[i]
		s.limit = limit / shardCount
		s.circuits = make(map[string]*circuit)
		s.used.next, s.used.prev = &s.used, &s.used
	}
	return k
}

// get returns the circuit of key, a new one when there is none. It allocates only then.
func (k *keys) get(key []byte) *circuit {
	s := &k.shards[maphash.Bytes(k.seed, key)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.circuits[string(key)]
	if c == nil {
		if len(s.circuits) >= s.limit {
			k.evict(s)
		}
		c = newCircuit(string(key))
		s.circuits[c.key] = c
	} else {
		c.unlink()
	}
	c.linkAfter(&s.used)
	return c
}

// find returns the circuit of key, nil when there is none.
func (k *keys) find(key string) *circuit {
	s := &k.shards[maphash.String(k.seed, key)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.circuits[key]
}

// evict forgets the least recently used circuit of s. The caller holds s.mu.
func (k *keys) evict(s *shard) {
	c := s.used.prev
	c.unlink()
	delete(s.circuits, c.key)
	if c.forget() {
		k.tripped.Add(-1)
	}
}

func (c *circuit) linkAfter(at *circuit) {
	c.prev, c.next = at, at.next
	at.next.prev = c
	at.next = c
}

func (c *circuit) unlink() {
	c.prev.next = c.next
	c.next.prev = c.prev
}
