package core

import "time"

var epoch = time.Now()

// Instant is a reading of the monotonic clock, in nanoseconds since the process began. It is half
// the price of a time.Time and enough for every timing on the request path.
type Instant int64

// Now reads the monotonic clock.
func Now() Instant { return Instant(time.Since(epoch)) }

// Sub returns the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// Add returns the instant d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Time returns the wall clock's time of i, by the wall clock as it is set now.
func (i Instant) Time() time.Time { return time.Now().Add(i.Sub(Now())) }
