package proxytest

import (
	"context"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// leakWait is how long goroutines may take to end after what they belong to was closed. Only the
// test of this package changes it.
var leakWait = 5 * time.Second

// goroutines tells the goroutines of one proxy from those of the test and of proxies that run
// beside it in parallel tests: a profiler label is inherited by every goroutine that is started.
type goroutines struct{ id string }

const label = "proxytest"

var serial atomic.Int64

func newGoroutines() goroutines { return goroutines{strconv.FormatInt(serial.Add(1), 10)} }

// own runs f. What f starts, and what that starts, belongs to g.
func (g goroutines) own(f func()) {
	pprof.Do(context.Background(), pprof.Labels(label, g.id), func(context.Context) { f() })
}

// left waits for the goroutines to end and returns the stacks of those that do not, "" for none.
func (g goroutines) left() string {
	deadline := time.Now().Add(leakWait)
	pause := time.Millisecond
	for {
		stacks := g.stacks()
		if stacks == "" || time.Now().After(deadline) {
			return stacks
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// stacks returns the stacks of the goroutines that run, with the number of goroutines before each.
func (g goroutines) stacks() string {
	var profile, out strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	mark := strconv.Quote(label) + ":" + strconv.Quote(g.id)
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, mark) {
			out.WriteString(stack + "\n\n")
		}
	}
	return out.String()
}
