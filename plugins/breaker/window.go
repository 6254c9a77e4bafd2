package breaker

// slots is into how many parts the window is cut: what a part holds expires at once.
const slots = 10

type counts struct{ all, failed, slow int32 }

// window counts what happened lately.
type window struct {
	slots [slots]counts
	sum   counts // of all slots
	now   int64  // number of the current slot
}

// moveTo empties the slots that expired before slot n.
func (w *window) moveTo(n int64) {
	if n <= w.now {
		return
	}
	for i := max(w.now+1, n-slots+1); i <= n; i++ {
		s := &w.slots[i%slots]
		w.sum.all -= s.all
		w.sum.failed -= s.failed
		w.sum.slow -= s.slow
		*s = counts{}
	}
	w.now = n
}

func (w *window) add(c counts) {
	s := &w.slots[w.now%slots]
	for _, to := range [...]*counts{s, &w.sum} {
		to.all += c.all
		to.failed += c.failed
		to.slow += c.slow
	}
}

func (w *window) reset() { *w = window{now: w.now} }
