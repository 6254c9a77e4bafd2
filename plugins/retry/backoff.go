package retry

import (
	"math/rand/v2"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// backoff is decorrelated jitter: each wait is random between min and three times the one before,
// so that clients that failed together do not come back together.
type backoff struct{ min, max time.Duration }

// next returns the wait after last, which is 0 before the first.
func (b backoff) next(last time.Duration) time.Duration {
	spread := 3*last - b.min
	if last == 0 || spread <= 0 {
		return b.min
	}
	return min(b.max, b.min+rand.N(spread))
}

// sleep waits for d. It returns false, and at once, when the exchange is cancelled.
func sleep(x *core.Exchange, d time.Duration) bool {
	if d <= 0 {
		return !x.Cancelled()
	}
	woken := make(waker)
	if !x.OnCancel(woken) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	}
	return x.OnCancel(nil)
}

type waker chan struct{}

func (w waker) Close() error {
	close(w)
	return nil
}
