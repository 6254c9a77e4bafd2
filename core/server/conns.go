package server

import "sync"

// connSet is the set of open connections, in shards.
type connSet struct {
	shards [32]struct {
		mu sync.Mutex // guards m
		m  map[*conn]struct{}
	}
}

func (s *connSet) add(c *conn) {
	sh := &s.shards[c.id%32]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m == nil {
		sh.m = make(map[*conn]struct{})
	}
	sh.m[c] = struct{}{}
}

func (s *connSet) remove(c *conn) {
	sh := &s.shards[c.id%32]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.m, c)
}

func (s *connSet) each(f func(*conn)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for c := range sh.m {
			f(c)
		}
		sh.mu.Unlock()
	}
}

func (s *connSet) len() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += len(sh.m)
		sh.mu.Unlock()
	}
	return n
}
