package upstream

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// windowSlots is in how many slots a window is counted: the oldest is dropped as a whole.
const windowSlots = 8

// minWindow is the shortest window, for a slot to be long enough to count anything.
const minWindow = 100 * time.Millisecond

// rateWindow counts successes and requests of the last slots. A slot is one word, so that a
// request costs one compare-and-swap: the slot's number in 24 bits, requests and successes in 20
// each.
type rateWindow [windowSlots]atomic.Uint64

const (
	rateBits = 20
	rateMax  = 1<<rateBits - 1
)

// slotNumber numbers the slots of time in order.
func slotNumber(now core.Instant, slot time.Duration) uint64 { return uint64(now) / uint64(slot) }

func (w *rateWindow) add(now core.Instant, slot time.Duration, good bool) {
	n := slotNumber(now, slot)
	tag := n & (1<<24 - 1)
	word := &w[n%windowSlots]
	for {
		old := word.Load()
		next := old
		if old>>(2*rateBits) != tag {
			next = tag << (2 * rateBits)
		}
		if next>>rateBits&rateMax == rateMax {
			return // a million in one slot: the share is known well enough
		}
		next += 1 << rateBits
		if good {
			next++
		}
		if word.CompareAndSwap(old, next) {
			return
		}
	}
}

func (w *rateWindow) sum(now core.Instant, slot time.Duration) (good, all int) {
	n := slotNumber(now, slot)
	for i := range w {
		word := w[i].Load()
		if age := (n - word>>(2*rateBits)) & (1<<24 - 1); age >= windowSlots {
			continue
		}
		good += int(word & rateMax)
		all += int(word >> rateBits & rateMax)
	}
	return good, all
}

func (w *rateWindow) reset() {
	for i := range w {
		w[i].Store(0)
	}
}

// latencyWindow sums up the latencies of the last slots. A slot is one word: the slot's number and
// the requests in 16 bits each, the sum in seconds as a 32-bit float.
type latencyWindow [windowSlots]atomic.Uint64

func (w *latencyWindow) add(now core.Instant, slot, took time.Duration) {
	n := slotNumber(now, slot)
	tag := n & math.MaxUint16
	word := &w[n%windowSlots]
	for {
		old := word.Load()
		count, sum := old>>32&math.MaxUint16, math.Float32frombits(uint32(old))
		if old>>48 != tag {
			count, sum = 0, 0
		}
		if count == math.MaxUint16 {
			return // the mean is known well enough
		}
		sum += float32(took.Seconds())
		if word.CompareAndSwap(old, tag<<48|(count+1)<<32|uint64(math.Float32bits(sum))) {
			return
		}
	}
}

func (w *latencyWindow) mean(now core.Instant, slot time.Duration) (mean time.Duration, n int) {
	current := slotNumber(now, slot)
	sum := 0.0
	for i := range w {
		word := w[i].Load()
		if age := (current - word>>48) & math.MaxUint16; age >= windowSlots {
			continue
		}
		n += int(word >> 32 & math.MaxUint16)
		sum += float64(math.Float32frombits(uint32(word)))
	}
	if n == 0 {
		return 0, 0
	}
	return time.Duration(sum / float64(n) * float64(time.Second)), n
}

func (w *latencyWindow) reset() {
	for i := range w {
		w[i].Store(0)
	}
}
