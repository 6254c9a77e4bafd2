package sock

import "errors"

// ErrNoSplice is returned before anything was moved when the two sockets cannot be spliced.
var ErrNoSplice = errors.New("splice is not possible here")

// SrcError marks an error of Splice that came from the source rather than from the destination.
type SrcError struct{ Err error }

func (e *SrcError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SrcError) Unwrap() error { return e.Err }

// Waiter is asked before each wait for the source; an error ends the move.
type Waiter interface {
	BeforeRead() error
}
