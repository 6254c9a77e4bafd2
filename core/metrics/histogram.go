package metrics

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets are log-linear: each power of two of nanoseconds from 2^firstOctave (33 µs) to
// 2^lastOctave (69 s) is split into four equal steps, so a quantile is off by an eighth at most.
// Finding the bucket takes a bit count and no search.
const (
	firstOctave = 15
	lastOctave  = 36
	steps       = 4
	bucketCount = 1 + (lastOctave-firstOctave)*steps + 1
)

// histogram counts durations.
type histogram struct {
	counts [bucketCount]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

func bucketOf(d time.Duration) int {
	if d < 1<<firstOctave {
		return 0
	}
	if d >= 1<<lastOctave {
		return bucketCount - 1
	}
	octave := bits.Len64(uint64(d)) - 1
	step := int(d>>(octave-2)) & (steps - 1)
	return 1 + (octave-firstOctave)*steps + step
}

// upperBound returns the smallest duration above bucket i, which must not be the last.
func upperBound(i int) time.Duration {
	if i == 0 {
		return 1 << firstOctave
	}
	octave, step := firstOctave+(i-1)/steps, (i-1)%steps
	return 1<<octave + time.Duration(step+1)<<(octave-2)
}

// Latency is a distribution of durations as it was at one moment.
type Latency struct {
	counts [bucketCount]uint64
	Count  uint64
	Sum    time.Duration
}

func (l *Latency) add(h *histogram) {
	for i := range h.counts {
		n := h.counts[i].Load()
		l.counts[i] += n
		l.Count += n
	}
	l.Sum += time.Duration(h.sum.Load())
}

// Quantile returns the duration that the share q (0 to 1) of all lie below, interpolated within
// its bucket; 0 when nothing was counted. Above 69 s it is 69 s.
func (l *Latency) Quantile(q float64) time.Duration {
	rank := q * float64(l.Count)
	var below float64
	for i, n := range l.counts[:bucketCount-1] {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		var low time.Duration
		if i > 0 {
			low = upperBound(i - 1)
		}
		return low + time.Duration(float64(upperBound(i)-low)*max(0, rank-below)/float64(n))
	}
	if l.Count == 0 {
		return 0
	}
	return 1 << lastOctave
}

// cumulative calls each with the upper bound of every octave and the number of durations below it.
// An octave is fine enough for alerts and keeps a route at 22 lines.
func (l *Latency) cumulative(each func(le time.Duration, n uint64)) {
	var n uint64
	for i := range bucketCount - 1 {
		n += l.counts[i]
		if i%steps == 0 {
			each(upperBound(i), n)
		}
	}
}
