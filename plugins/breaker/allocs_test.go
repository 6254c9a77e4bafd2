//go:build !race

package breaker_test

import "testing"

// The race detector makes sync.Pool forget at random, so this does not hold under it.
func TestAClosedBreakerAllocatesNothing(t *testing.T) {
	for _, c := range closedPaths {
		p := ready(t, c.set)
		if n := testing.AllocsPerRun(1000, func() { p.once(t) }); n != 0 {
			t.Errorf("by %s: an exchange makes %v allocations, want 0", c.name, n)
		}
	}
}
