package retry

import (
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
)

// windows is into how many parts a budget's ttl is cut: what a part holds expires at once.
const windows = 10

// tokenScale is what one request deposits, so that what a retry costs can be a whole number.
const tokenScale = 1000

// budget is Finagle's RetryBudget: a leaky token bucket with a reserve that never runs dry for
// longer than ttl. A deposit, which every request makes, is two atomic operations.
type budget struct {
	origin  core.Instant
	window  int64 // nanoseconds of one part
	income  int64 // tokens a request brings
	cost    int64 // tokens a retry takes
	reserve int64

	mu    sync.Mutex   // guards withdrawals, and now's moving on
	now   atomic.Int64 // number of the current part, from 0
	parts [windows]atomic.Int64
}

func newBudget(c *BudgetConfig) *budget {
	b := &budget{origin: core.Now(), window: int64(c.TTL) / windows, income: tokenScale, cost: 1}
	if c.Percent > 0 {
		b.cost = max(1, int64(tokenScale/float64(c.Percent)))
	} else {
		b.income = 0
	}
	b.reserve = int64(float64(c.MinPerSecond) * c.TTL.Std().Seconds() * float64(b.cost))
	return b
}

func (b *budget) part(at core.Instant) int64 { return int64(at-b.origin) / b.window }

// deposit counts a request that began at.
func (b *budget) deposit(at core.Instant) {
	if b.income == 0 {
		return
	}
	n := b.now.Load()
	if part := b.part(at); part > n {
		b.mu.Lock()
		b.moveTo(part)
		n = b.now.Load()
		b.mu.Unlock()
	}
	b.parts[n%windows].Add(b.income)
}

// withdraw pays for a retry at the instant given, and returns false when the balance is too low.
func (b *budget) withdraw(at core.Instant) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moveTo(b.part(at))
	balance := b.reserve
	for i := range b.parts {
		balance += b.parts[i].Load()
	}
	if balance < b.cost {
		return false
	}
	b.parts[b.now.Load()%windows].Add(-b.cost)
	return true
}

// moveTo empties the parts that expired. The caller holds mu.
func (b *budget) moveTo(part int64) {
	n := b.now.Load()
	if part <= n {
		return
	}
	for i := max(n+1, part-windows+1); i <= part; i++ {
		b.parts[i%windows].Store(0)
	}
	b.now.Store(part)
}
