package config

import (
	"io"
	"sync"

	"github.com/sluiceproxy/sluice/core"
)

// identity is what a filter's state is kept under. A filter that was moved within its list, or
// whose when was changed, is the same one; one that is configured otherwise is another.
type identity struct {
	scope core.Scope
	owner string
	name  string
	hash  string
}

// stateStore keeps what filters want to outlive a reload.
type stateStore struct {
	mu   sync.Mutex // guards bags and their uses
	bags map[identity]*stateBag
}

// stateBag is the state of one filter.
type stateBag struct {
	id   identity
	uses int // generations that have the filter

	mu     sync.Mutex // guards values; held while one is made, so that it is made once
	values map[string]any
}

// open returns the state of a filter for one generation, which gives it back with release.
func (s *stateStore) open(id identity) *stateBag {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bags == nil {
		s.bags = make(map[identity]*stateBag)
	}
	b := s.bags[id]
	if b == nil {
		b = &stateBag{id: id, values: make(map[string]any)}
		s.bags[id] = b
	}
	b.uses++
	return b
}

// release closes the state when no generation has its filter any more.
func (s *stateStore) release(b *stateBag) error {
	s.mu.Lock()
	b.uses--
	last := b.uses == 0
	if last {
		delete(s.bags, b.id)
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	return b.close()
}

// get is core.Env.State.
func (b *stateBag) get(key string, make func() any) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.values[key]
	if !ok {
		v = make()
		b.values[key] = v
	}
	return v
}

func (b *stateBag) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first error
	for _, v := range b.values {
		if c, ok := v.(io.Closer); ok {
			if err := c.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}
