package core_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

type filterFunc func(x *core.Exchange, next core.Handler) error

func (f filterFunc) Handle(x *core.Exchange, next core.Handler) error { return f(x, next) }

// trace notes what ran, in order.
type trace struct{ steps []string }

func (tr *trace) add(step string) { tr.steps = append(tr.steps, step) }

func (tr *trace) String() string { return strings.Join(tr.steps, " ") }

// pass is a filter that notes its way down and up.
func (tr *trace) pass(name string) core.Link {
	return core.Link{Name: name, Filter: filterFunc(func(x *core.Exchange, next core.Handler) error {
		tr.add(name + ">")
		err := next.Handle(x)
		tr.add("<" + name)
		return err
	})}
}

// run is a filter named name that does f.
func run(name string, f filterFunc) core.Link { return core.Link{Name: name, Filter: f} }

func (tr *trace) answer() core.Handler {
	return core.HandlerFunc(func(x *core.Exchange) error {
		tr.add("answer")
		x.Respond(200, "", "ok")
		return nil
	})
}

func TestAChainRunsDownInOrderAndUpInReverse(t *testing.T) {
	var tr trace
	h := core.Chain([]core.Link{tr.pass("a"), tr.pass("b"), tr.pass("c")}, tr.answer())
	if err := h.Handle(get(t, "/")); err != nil {
		t.Fatal(err)
	}
	if got, due := tr.String(), "a> b> c> answer <c <b <a"; got != due {
		t.Errorf("ran %q, due %q", got, due)
	}
}

func TestAnEmptyChainIsWhatItLeadsTo(t *testing.T) {
	var tr trace
	if err := core.Chain(nil, tr.answer()).Handle(get(t, "/")); err != nil || tr.String() != "answer" {
		t.Errorf("ran %q %v, due \"answer\"", &tr, err)
	}
}

func TestAFilterMayCallNextSeveralTimesOrNotAtAll(t *testing.T) {
	var tr trace
	twice := run("twice", func(x *core.Exchange, next core.Handler) error {
		return errors.Join(next.Handle(x), next.Handle(x))
	})
	h := core.Chain([]core.Link{twice, tr.pass("a")}, tr.answer())
	if err := h.Handle(get(t, "/")); err != nil || tr.String() != "a> answer <a a> answer <a" {
		t.Errorf("ran %q %v", &tr, err)
	}
	tr = trace{}
	stop := run("stop", func(x *core.Exchange, _ core.Handler) error { x.Respond(403, "", ""); return nil })
	x := get(t, "/")
	if err := core.Chain([]core.Link{tr.pass("a"), stop}, tr.answer()).Handle(x); err != nil || tr.String() != "a> <a" || x.Response.Status != 403 {
		t.Errorf("ran %q %v with status %d", &tr, err, x.Response.Status)
	}
}

func TestWhenDecidesWhetherAFilterRuns(t *testing.T) {
	for _, onError := range []core.OnError{core.OnErrorFail, core.OnErrorSkip} {
		for target, due := range map[string]string{"/?beta=1": "a> b> answer <b <a", "/": "b> answer <b"} {
			var tr trace
			link := tr.pass("a")
			link.When, link.OnError = condition(t, `arg_beta == "1"`), onError
			if err := core.Chain([]core.Link{link, tr.pass("b")}, tr.answer()).Handle(get(t, target)); err != nil || tr.String() != due {
				t.Errorf("%s: ran %q %v, due %q", target, &tr, err, due)
			}
		}
	}
}

func TestAFilterWhoseWhenCannotBeEvaluatedFails(t *testing.T) {
	var tr trace
	link := tr.pass("auth")
	link.When = condition(t, `int(arg_n) > 3`)
	err := core.Chain([]core.Link{tr.pass("outer"), link}, tr.answer()).Handle(get(t, "/?n=x"))
	e, ok := core.AsError(err)
	if !ok || e.Code != core.CodeFilterFailed || e.Filter != "auth" || tr.String() != "outer> <outer" {
		t.Errorf("ran %q with %v, due filter_failed of auth", &tr, err)
	}
	tr = trace{}
	link.OnError, link.Stats = core.OnErrorSkip, new(core.FilterStats)
	if err := core.Chain([]core.Link{link}, tr.answer()).Handle(get(t, "/?n=x")); err != nil || tr.String() != "answer" {
		t.Errorf("on_error skip: ran %q with %v, due the answer alone", &tr, err)
	}
	if link.Stats.Skipped.Load() != 1 || link.Stats.Errors.Load() != 1 {
		t.Errorf("skipped %d errors %d, due 1 and 1", link.Stats.Skipped.Load(), link.Stats.Errors.Load())
	}
}

func TestAPanicIsTheErrorOfItsFilterAndTheOuterFiltersSeeIt(t *testing.T) {
	for name, link := range map[string]core.Link{
		"before next": run("bad", func(*core.Exchange, core.Handler) error { panic("boom") }),
		"after next":  run("bad", func(x *core.Exchange, next core.Handler) error { next.Handle(x); panic("boom") }),
	} {
		var tr trace
		var seen error
		link.Stats = new(core.FilterStats)
		watch := run("watch", func(x *core.Exchange, next core.Handler) error {
			seen = next.Handle(x)
			return seen
		})
		err := core.Chain([]core.Link{tr.pass("outer"), watch, link, tr.pass("inner")}, tr.answer()).Handle(get(t, "/"))
		e, ok := core.AsError(err)
		if !ok || e.Code != core.CodeFilterPanic || e.Filter != "bad" || e.StatusCode() != 500 || len(e.Stack) == 0 {
			t.Errorf("%s: error %v, due filter_panic of bad with a stack", name, err)
		}
		if seen != err || !strings.HasSuffix(tr.String(), "<outer") {
			t.Errorf("%s: ran %q, watch saw %v", name, &tr, seen)
		}
		if link.Stats.Panics.Load() != 1 || link.Stats.Errors.Load() != 1 {
			t.Errorf("%s: panics %d errors %d, due 1 and 1", name, link.Stats.Panics.Load(), link.Stats.Errors.Load())
		}
	}
}

func TestWhatComesFromBelowTheChainIsNoFiltersFault(t *testing.T) {
	for name, c := range map[string]struct {
		last core.HandlerFunc
		due  core.Code
	}{
		"error": {func(*core.Exchange) error { return core.NewError(core.CodeNoEndpoint, nil) }, core.CodeNoEndpoint},
		"panic": {func(*core.Exchange) error { panic("boom") }, core.CodeInternal},
	} {
		for _, onError := range []core.OnError{core.OnErrorFail, core.OnErrorSkip} {
			var tr trace
			link := tr.pass("a")
			link.OnError, link.Stats = onError, new(core.FilterStats)
			calls := 0
			err := core.Chain([]core.Link{tr.pass("outer"), link}, core.HandlerFunc(func(x *core.Exchange) error {
				calls++
				return c.last(x)
			})).Handle(get(t, "/"))
			e, ok := core.AsError(err)
			if !ok || e.Code != c.due || e.Filter != "" || calls != 1 {
				t.Errorf("%s: error %v of filter %q after %d calls, due %s of none after 1", name, err, e.Filter, calls, c.due)
			}
			if n := link.Stats.Errors.Load() + link.Stats.Panics.Load() + link.Stats.Skipped.Load(); n != 0 {
				t.Errorf("%s: %d failures were counted for the filter", name, n)
			}
		}
	}
}

func TestAPlainErrorIsTypedWithTheNameOfItsFilter(t *testing.T) {
	cause := errors.New("no such key")
	bad := run("lookup", func(*core.Exchange, core.Handler) error { return cause })
	var tr trace
	err := core.Chain([]core.Link{tr.pass("outer"), bad}, tr.answer()).Handle(get(t, "/"))
	e, ok := core.AsError(err)
	if !ok || e.Code != core.CodeFilterFailed || e.Filter != "lookup" || !errors.Is(err, cause) {
		t.Errorf("error %v, due filter_failed of lookup because of %v", err, cause)
	}
}

func TestATypedErrorOfAFilterKeepsItsCodeAndGetsTheName(t *testing.T) {
	open := run("breaker", func(*core.Exchange, core.Handler) error { return core.NewError(core.CodeBreakerOpen, nil) })
	var tr trace
	err := core.Chain([]core.Link{tr.pass("outer"), open}, tr.answer()).Handle(get(t, "/"))
	if e, ok := core.AsError(err); !ok || e.Code != core.CodeBreakerOpen || e.Filter != "breaker" {
		t.Errorf("error %v, due breaker_open of breaker", err)
	}
}

func TestOnErrorSkip(t *testing.T) {
	fail := errors.New("broken")
	below := core.NewError(core.CodeUpstreamReset, nil)
	for _, c := range []struct {
		name   string
		filter filterFunc
		last   error
		ran    string // the steps below the filter
		due    error  // nil: answered
		skips  uint64
	}{
		{"fails before next: the chain goes on without it",
			func(*core.Exchange, core.Handler) error { return fail }, nil, "b> last <b", nil, 1},
		{"panics before next: the chain goes on without it",
			func(*core.Exchange, core.Handler) error { panic("boom") }, nil, "b> last <b", nil, 1},
		{"fails after next: the response stands",
			func(x *core.Exchange, next core.Handler) error { next.Handle(x); return fail }, nil, "b> last <b", nil, 1},
		{"panics after next: the response stands",
			func(x *core.Exchange, next core.Handler) error { next.Handle(x); panic("boom") }, nil, "b> last <b", nil, 1},
		{"fails after next failed: the error from below stands",
			func(x *core.Exchange, next core.Handler) error { next.Handle(x); return fail }, below, "b> last <b", below, 1},
		{"passes the error from below: no failure of its own",
			func(x *core.Exchange, next core.Handler) error { return next.Handle(x) }, below, "b> last <b", below, 0},
		{"answers with an error on purpose: that is not skipped",
			func(*core.Exchange, core.Handler) error { return below }, nil, "", below, 0},
		{"succeeds", func(x *core.Exchange, next core.Handler) error { return next.Handle(x) }, nil, "b> last <b", nil, 0},
	} {
		var tr trace
		skip := run("skip", c.filter)
		skip.OnError, skip.Stats = core.OnErrorSkip, new(core.FilterStats)
		h := core.Chain([]core.Link{skip, tr.pass("b")}, core.HandlerFunc(func(x *core.Exchange) error {
			tr.add("last")
			return c.last
		}))
		err := h.Handle(get(t, "/"))
		if !errors.Is(err, c.due) || tr.String() != c.ran || skip.Stats.Skipped.Load() != c.skips {
			t.Errorf("%s: ran %q, error %v, skipped %d; due %q, %v, %d",
				c.name, &tr, err, skip.Stats.Skipped.Load(), c.ran, c.due, c.skips)
		}
	}
}

func TestSkippedFiltersMayStandBelowEachOther(t *testing.T) {
	bad := func(name string, after bool) core.Link {
		l := run(name, func(x *core.Exchange, next core.Handler) error {
			if after {
				next.Handle(x)
			}
			return errors.New(name)
		})
		l.OnError = core.OnErrorSkip
		return l
	}
	for _, c := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		var tr trace
		err := core.Chain([]core.Link{bad("a", c[0]), bad("b", c[1])}, tr.answer()).Handle(get(t, "/"))
		if err != nil || tr.String() != "answer" {
			t.Errorf("failing after next %v: ran %q %v, due one answer", c, &tr, err)
		}
	}
}

func TestASkippedFailureIsLoggedWithTheFiltersName(t *testing.T) {
	var log bytes.Buffer
	x := core.NewExchange(nil, slog.New(slog.NewTextHandler(&log, nil)))
	l := run("geoip", func(*core.Exchange, core.Handler) error { return errors.New("no database") })
	l.OnError = core.OnErrorSkip
	var tr trace
	if err := core.Chain([]core.Link{l}, tr.answer()).Handle(x); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "geoip") || !strings.Contains(got, "no database") {
		t.Errorf("log %q, due to hold the filter's name and the cause", got)
	}
}

func TestARerouteTravelsUpUnchanged(t *testing.T) {
	for _, onError := range []core.OnError{core.OnErrorFail, core.OnErrorSkip} {
		var tr trace
		l := run("jump", func(x *core.Exchange, _ core.Handler) error { return x.Reroute() })
		l.OnError, l.Stats = onError, new(core.FilterStats)
		x := get(t, "/")
		err := core.Chain([]core.Link{tr.pass("outer"), l}, tr.answer()).Handle(x)
		if !core.IsReroute(err) || tr.String() != "outer> <outer" || l.Stats.Errors.Load() != 0 || x.Rerouted() != 1 {
			t.Errorf("on_error %d: ran %q, error %v, %d errors", onError, &tr, err, l.Stats.Errors.Load())
		}
	}
}

func passFilters(n int) []core.Link {
	links := make([]core.Link, n)
	for i := range links {
		links[i] = run(fmt.Sprint("f", i), func(x *core.Exchange, next core.Handler) error { return next.Handle(x) })
	}
	return links
}

func TestRunningAChainOfEightFiltersAllocatesNothing(t *testing.T) {
	links := passFilters(8)
	links[3].When = condition(t, `request_method == "GET"`)
	links[5].OnError = core.OnErrorSkip
	h := core.Chain(links, core.HandlerFunc(func(*core.Exchange) error { return nil }))
	x := get(t, "/")
	if n := testing.AllocsPerRun(100, func() { h.Handle(x) }); n != 0 {
		t.Errorf("%v allocations, due 0", n)
	}
}

func BenchmarkChainOfEightFilters(b *testing.B) {
	h := core.Chain(passFilters(8), core.HandlerFunc(func(*core.Exchange) error { return nil }))
	x := get(b, "/")
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Handle(x); err != nil {
			b.Fatal(err)
		}
	}
}
