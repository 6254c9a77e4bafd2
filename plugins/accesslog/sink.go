package accesslog

import (
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// sink is a file that lines are written to. Requests put lines into its shards; one goroutine, the
// writer, takes them out.
type sink struct {
	path   string
	shards []shard // a power of two
	wake   chan struct{}
	stop   chan struct{}
	ended  chan struct{} // closed when the writer has ended

	settings atomic.Pointer[settings]
	next     atomic.Pointer[os.File] // opened anew, for the writer to go on with
	dropped  atomic.Uint64           // lines

	refs int // guarded by sinks.mu
}

// settings are those of the filter that was loaded last.
type settings struct {
	buffer  int // bytes of a shard from which the writer is woken
	backlog int // bytes of all shards together
	flush   time.Duration
	log     *slog.Logger
}

// shard is a part of the lines that are due.
type shard struct {
	mu  sync.Mutex // guards buf; held while a line is made, never while one is written
	buf []byte
	_   [64]byte // keeps shards out of each other's cache lines
}

func newSink(path string, file *os.File, set settings) *sink {
	n := 1 << bits.Len(uint(runtime.GOMAXPROCS(0)-1))
	s := &sink{
		path: path, shards: make([]shard, n),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	s.settings.Store(&set)
	w := &writer{sink: s, file: file}
	go w.run()
	return s
}

// add puts x's line into the first shard that is free, so that lines are in order as long as they
// do not come all at once, and drops it when the backlog is full.
func (s *sink) add(l line, x *core.Exchange) {
	set := s.settings.Load()
	for i := range s.shards {
		if sh := &s.shards[i]; sh.mu.TryLock() && sh.add(s, l, x, set) {
			return
		}
	}
	sh := &s.shards[int(x.Client.ID)&(len(s.shards)-1)]
	sh.mu.Lock()
	if !sh.add(s, l, x, set) {
		s.dropped.Add(1)
	}
}

// signal wakes the writer. It never blocks.
func (s *sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// add puts the line into the shard, which the caller has locked, unlocks it, and reports whether
// there was room. One line may pass the limit. When the line's template panics the shard stays as
// it was.
func (sh *shard) add(s *sink, l line, x *core.Exchange, set *settings) bool {
	defer sh.mu.Unlock()
	limit := set.backlog / len(s.shards)
	if len(sh.buf) >= limit {
		return false
	}
	sh.buf = append(l.Append(sh.buf, x), '\n')
	if len(sh.buf) >= min(set.buffer, limit/2) {
		s.signal()
	}
	return true
}

// take returns the lines of the shard and leaves spare in their place.
func (sh *shard) take(spare []byte) []byte {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.buf) == 0 {
		return spare
	}
	lines := sh.buf
	sh.buf = spare
	return lines
}

// closeWait is how long the last writing may take: a pipe that nobody reads must not keep the
// proxy from ending.
const closeWait = 5 * time.Second

// close writes what is left and closes the file.
func (s *sink) close() error {
	close(s.stop)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-s.ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("access log %s: its last lines could not be written within %v", s.path, closeWait)
	}
}
