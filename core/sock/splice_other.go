//go:build !linux

package sock

import "time"

// Splice is Linux's; here it returns ErrNoSplice.
func (c *Conn) Splice(*Conn, int64, Waiter, time.Duration) (int64, error) { return 0, ErrNoSplice }
