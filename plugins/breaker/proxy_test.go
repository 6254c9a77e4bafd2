package breaker_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// origin answers 500 while it is broken.
type origin struct {
	address string
	broken  atomic.Bool
	asked   atomic.Int64
}

func startOrigin(t *testing.T) *origin {
	o := new(origin)
	o.address = proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if o.broken.Load() {
			w.WriteHeader(500)
		}
		io.WriteString(w, "answer")
	}))
	return o
}

func yaml(filter string, endpoints ...string) string {
	return fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes: [{name: all, to: shop}]
upstreams:
  shop:
    endpoints: ["%s"]
    filters: [%s]
`, strings.Join(endpoints, `", "`), filter)
}

func ask(t *testing.T, p *proxytest.Proxy) *http.Response {
	t.Helper()
	resp, err := http.Get(p.URL("web") + "/")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// until asks until an answer has the status.
func until(t *testing.T, p *proxytest.Proxy, status int) *http.Response {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); {
		if resp := ask(t, p); resp.StatusCode == status {
			return resp
		}
	}
	t.Fatalf("no answer had status %d within 5s", status)
	return nil
}

func TestThroughAProxyABrokenUpstreamIsLeftAloneUntilItRecovers(t *testing.T) {
	o := startOrigin(t)
	o.broken.Store(true)
	config := yaml("breaker: {failures: 50%, of: 5, open: 200ms}", o.address)
	p := proxytest.Start(t, config)
	resp := until(t, p, 503)
	if code, wait := resp.Header.Get("X-Sluice-Error"), resp.Header.Get("Retry-After"); code != "breaker_open" || wait != "1" {
		t.Errorf("got X-Sluice-Error %q and Retry-After %q, want breaker_open and 1", code, wait)
	}
	if n := o.asked.Load(); n != 5 {
		t.Errorf("the origin was asked %d times before it was left alone, want 5", n)
	}
	if err := p.Reload(strings.Replace(config, "name: all", "name: every", 1)); err != nil {
		t.Fatal(err)
	}
	if resp := ask(t, p); resp.StatusCode != 503 {
		t.Errorf("after a reload: got %d, want 503 of a breaker that is still open", resp.StatusCode)
	}
	o.broken.Store(false)
	until(t, p, 200)
	for range 10 {
		if resp := ask(t, p); resp.StatusCode != 200 {
			t.Fatalf("after it closed: got %d, want 200", resp.StatusCode)
		}
	}
}

func TestThroughAProxyOnlyTheBrokenEndpointIsLeftAlone(t *testing.T) {
	bad, good := startOrigin(t), startOrigin(t)
	bad.broken.Store(true)
	p := proxytest.Start(t, yaml("breaker: {by: endpoint, consecutive: 3, open: 1m}", bad.address, good.address))
	for range 40 {
		ask(t, p)
	}
	if n := bad.asked.Load(); n != 3 {
		t.Errorf("the broken endpoint was asked %d times, want 3", n)
	}
	if n := good.asked.Load(); n != 37 {
		t.Errorf("the other was asked %d times, want 37", n)
	}
}

func TestThroughAProxyAnswersThatBreakOffOpen(t *testing.T) {
	address := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	p := proxytest.Start(t, yaml("breaker: {consecutive: 3, open: 1m}", address))
	for i := range 4 {
		resp, err := http.Get(p.URL("web") + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if i < 3 && (resp.StatusCode != 200 || err == nil) {
			t.Errorf("answer %d: got %d with error %v, want 200 that breaks off", i+1, resp.StatusCode, err)
		}
		if i == 3 && resp.StatusCode != 503 {
			t.Errorf("after three that broke off: got %d, want 503", resp.StatusCode)
		}
	}
}

func TestThroughAProxyTheExampleRuns(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, b := startOrigin(t), startOrigin(t)
	p := proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0",
		"127.0.0.1:9001", a.address, "127.0.0.1:9002", b.address).Replace(string(example)))
	if resp := ask(t, p); resp.StatusCode != 200 {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
	a.broken.Store(true)
	b.broken.Store(true)
	if resp := until(t, p, 503); resp.Header.Get("X-Sluice-Error") != "breaker_open" {
		t.Errorf("got X-Sluice-Error %q, want breaker_open", resp.Header.Get("X-Sluice-Error"))
	}
}
