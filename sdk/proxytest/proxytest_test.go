package proxytest_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

const listen = "listeners: {web: '127.0.0.1:0'}\n"

func hello(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func routed(to string) string {
	return listen + "routes: [{name: all, to: app}]\nupstreams: {app: {endpoints: '" + to + "'}}"
}

func TestAProxyRunsInFrontOfAnOrigin(t *testing.T) {
	p := proxytest.Start(t, routed(proxytest.Origin(t, hello("one"))))
	if got := get(t, p.URL("web")); got != "one" {
		t.Errorf("the answer is %q, due one", got)
	}
	if err := p.Reload(routed(proxytest.Origin(t, hello("two")))); err != nil {
		t.Fatal(err)
	}
	if got := get(t, "http://"+p.Addr("web")); got != "two" {
		t.Errorf("the answer after the reload is %q, due two", got)
	}
	if err := p.Reload("listeners: 5"); err == nil || !strings.Contains(p.Log(), "configuration refused") {
		t.Errorf("the reload returned %v and the log is\n%s\ndue an error, and that it was refused", err, p.Log())
	}
}

// recorder is a test that is looked at: what it is told does not fail the test that looks.
type recorder struct {
	testing.TB
	failures strings.Builder
	cleanups []func()
}

// stop is what Fatalf ends the recorded test with.
type stop struct{}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures.WriteString(strings.TrimSpace(format) + " ")
	for _, a := range args {
		switch a := a.(type) {
		case error:
			r.failures.WriteString(a.Error())
		case string:
			r.failures.WriteString(a)
		}
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(stop{})
}

// record runs test and its cleanups, and returns how it failed, "" if it did not.
func record(t *testing.T, test func(t testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (stop{}) {
				panic(p)
			}
		}()
		test(r)
	}()
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r.failures.String()
}

func TestAWrongConfigurationFailsTheTestWithEveryMistake(t *testing.T) {
	got := record(t, func(t testing.TB) { proxytest.Start(t, listen+"rutes: []\nwatch: maybe") })
	for _, due := range []string{`unknown key "rutes": did you mean "routes"?`, `"maybe" is not true or false`} {
		if !strings.Contains(got, due) {
			t.Errorf("the test failed with %q, due %q in it", got, due)
		}
	}
}

func TestAnUnknownListenerFailsTheTest(t *testing.T) {
	got := record(t, func(t testing.TB) { proxytest.Start(t, listen).Addr("wbe") })
	if !strings.Contains(got, "no listener") {
		t.Errorf("the test failed with %q, due that there is no listener", got)
	}
}

var leaking = make(chan bool)

func init() {
	core.Register("test_leak", "starts a goroutine and forgets it", core.ScopeAny,
		func(*struct{}, *core.Env) (core.Filter, error) {
			go leak()
			return nop{}, nil
		})
}

func leak() { <-leaking }

type nop struct{}

func (nop) Handle(x *core.Exchange, next core.Handler) error { return next.Handle(x) }

func TestAGoroutineThatIsLeftFailsTheTest(t *testing.T) {
	proxytest.SetLeakWait(t, 20*time.Millisecond)
	got := record(t, func(t testing.TB) {
		proxytest.Start(t, listen+"routes: [{name: r, filters: test_leak}]")
	})
	leaking <- true
	if !strings.Contains(got, "proxytest_test.leak") {
		t.Errorf("the test failed with %q, due the stack of the goroutine that was left", got)
	}
}

func TestGoroutinesOfOtherProxiesAndOfTheTestAreNotCounted(t *testing.T) {
	proxytest.Start(t, listen) // runs on
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := record(t, func(t testing.TB) {
		proxytest.Start(t, listen)
		go l.Accept()
	})
	if got != "" {
		t.Errorf("the test failed: %s", got)
	}
}
