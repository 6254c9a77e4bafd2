package retry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

const (
	latencyPerOctave = 16                     // buckets per doubling: 6 % wide
	latencyBuckets   = 33 * latencyPerOctave  // up to 2^36 microseconds
	latencyFew       = 50                     // fewer answers than this tell nothing
	latencyFresh     = 100 * time.Millisecond // how long a computed quantile serves
	latencyHalf      = 10 * time.Second       // after this an answer counts half
)

// latency is a log-linear histogram of microseconds that forgets. Recording is one atomic addition.
type latency struct {
	buckets [latencyBuckets]atomic.Uint32
	due     atomic.Int64 // instant from which the value is stale
	value   atomic.Int64 // the quantile in nanoseconds, 0 for not known

	mu    sync.Mutex   // guards computing
	decay core.Instant // when the counts are halved next
}

func newLatency() *latency {
	l := new(latency)
	l.due.Store(int64(core.Now()))
	l.decay = core.Now().Add(latencyHalf)
	return l
}

func (l *latency) record(d time.Duration) { l.buckets[latencyBucket(d)].Add(1) }

func latencyBucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	octave := max(bits.Len64(us)-5, 0)
	return min(octave*latencyPerOctave+int(us>>octave), latencyBuckets-1)
}

// latencyBound is the upper end of a bucket.
func latencyBound(bucket int) time.Duration {
	octave := max(bucket/latencyPerOctave-1, 0)
	return time.Duration((bucket-octave*latencyPerOctave+1)<<octave) * time.Microsecond
}

// quantile returns the latency below which the share q of the answers came, false while too few
// are known. A latency is asked for one q only.
func (l *latency) quantile(q float64, now core.Instant) (time.Duration, bool) {
	if int64(now) >= l.due.Load() && l.mu.TryLock() {
		l.value.Store(int64(l.compute(q, now)))
		l.due.Store(int64(now.Add(latencyFresh)))
		l.mu.Unlock()
	}
	v := l.value.Load()
	return time.Duration(v), v > 0
}

func (l *latency) compute(q float64, now core.Instant) time.Duration {
	if now >= l.decay {
		l.halve()
		l.decay = now.Add(latencyHalf)
	}
	total := uint64(0)
	for i := range l.buckets {
		total += uint64(l.buckets[i].Load())
	}
	if total < latencyFew {
		return 0
	}
	left := uint64(q * float64(total))
	for i := range l.buckets {
		n := uint64(l.buckets[i].Load())
		if n > left {
			return latencyBound(i)
		}
		left -= n
	}
	return latencyBound(latencyBuckets - 1)
}

func (l *latency) halve() {
	for i := range l.buckets {
		if n := l.buckets[i].Load(); n > 0 {
			l.buckets[i].Add(-(n - n/2))
		}
	}
}
