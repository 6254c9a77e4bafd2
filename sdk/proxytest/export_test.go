package proxytest

import (
	"testing"
	"time"
)

// SetLeakWait is for a test that wants a leak to be found soon.
func SetLeakWait(t testing.TB, d time.Duration) {
	before := leakWait
	leakWait = d
	t.Cleanup(func() { leakWait = before })
}
