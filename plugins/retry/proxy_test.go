package retry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// raw starts an origin that hands each connection, once a request head was read, to serve.
func raw(t *testing.T, serve func(c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			for line := "-"; line != "\r\n" && line != ""; {
				line, _ = r.ReadString('\n')
			}
			serve(c.(*net.TCPConn))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// refusing returns an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// counting is a good origin that counts its requests and keeps the last body.
type counting struct {
	address string
	n       atomic.Int64
	body    atomic.Value
}

func good(t *testing.T) *counting {
	c := new(counting)
	c.address = proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := io.ReadAll(r.Body)
		c.body.Store(string(p))
		c.n.Add(1)
		fmt.Fprint(w, "good")
	}))
	return c
}

// through starts a proxy with the retry filter as written and the endpoints in order.
func through(t *testing.T, filter string, endpoints ...string) *proxytest.Proxy {
	t.Helper()
	return proxytest.Start(t, fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes: [{name: all, to: shop}]
upstreams:
  shop:
    endpoints: ["%s"]
    balance: round_robin
    filters: [%s]
`, strings.Join(endpoints, `", "`), filter))
}

// ask sends a request and returns its status, its X-Sluice-Error and its body.
func ask(t *testing.T, p *proxytest.Proxy, method, body string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequest(method, p.URL("web")+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "broken off", string(got)
	}
	return resp.StatusCode, resp.Header.Get("X-Sluice-Error"), string(got)
}

func TestThroughAProxyAFailingEndpointIsNotSeen(t *testing.T) {
	reset := func(sent string) func(t *testing.T) string {
		return func(t *testing.T) string {
			return raw(t, func(c *net.TCPConn) {
				io.WriteString(c, sent)
				c.SetLinger(0)
			})
		}
	}
	for _, c := range []struct {
		name   string
		bad    func(t *testing.T) string
		filter string
		method string
		status int
		code   string
	}{
		{"refused", refusing, "retry: {}", "GET", 200, ""},
		{"refused, of a POST", refusing, "retry: {}", "POST", 200, ""},
		{"reset before the head", reset(""), "retry: {}", "GET", 200, ""},
		{"reset within the head", reset("HTTP/1.1 200 OK\r\nContent-"), "retry: {}", "PUT", 200, ""},
		{"reset of a POST", reset(""), "retry: {}", "POST", 502, "upstream_reset"},
		{"reset of a POST when any may be repeated", reset(""), "retry: {methods: any}", "POST", 200, ""},
		{"reset that is not listed", reset(""), "retry: {on: connect}", "GET", 502, "upstream_reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := good(t)
			p := through(t, c.filter, c.bad(t), origin.address)
			seen := false
			for range 4 { // the balancer begins where it likes
				status, code, _ := ask(t, p, c.method, "body")
				if status == 200 && origin.body.Load() != "body" {
					t.Fatalf("the origin got the body %q, want %q", origin.body.Load(), "body")
				}
				if status == c.status && code == c.code {
					seen = true
				} else if status != 200 {
					t.Fatalf("got %d %s, want %d %s", status, code, c.status, c.code)
				}
			}
			if !seen {
				t.Errorf("no answer was %d %s", c.status, c.code)
			}
		})
	}
}

func TestThroughAProxyAnAnswerIsRetriedAfterTheTimeItAskedFor(t *testing.T) {
	var asked atomic.Int64
	busy := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(503)
	}))
	p := through(t, "retry: {on: 503, backoff: 0s, retry_after: 100ms}", busy, good(t).address)
	waited := int64(0)
	for range 3 {
		start := time.Now()
		if status, code, _ := ask(t, p, "GET", ""); status != 200 {
			t.Fatalf("got %d %s, want 200", status, code)
		}
		if time.Since(start) >= 100*time.Millisecond {
			waited++
		}
	}
	if n := asked.Load(); n == 0 || waited != n {
		t.Errorf("%d of 3 answers took the 100ms, want those %d that went to the busy endpoint first", waited, n)
	}
}

func TestThroughAProxyATryThatHangsIsGivenUp(t *testing.T) {
	for _, filter := range []string{
		"retry: {on: timeout, try: 100ms, backoff: 0s}",
		"retry: {hedge: 50ms}",
	} {
		t.Run(filter, func(t *testing.T) {
			left := make(chan error, 4)
			hanging := raw(t, func(c *net.TCPConn) {
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, err := c.Read(make([]byte, 1))
				left <- err
			})
			p := through(t, filter, hanging, good(t).address)
			for range 2 {
				if status, code, body := ask(t, p, "GET", ""); status != 200 || body != "good" {
					t.Fatalf("got %d %s %q, want 200 %q", status, code, body, "good")
				}
			}
			select {
			case err := <-left:
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Error("the connection of the try that was given up is still open after 5s")
				}
			case <-time.After(6 * time.Second):
				t.Error("no try went to the endpoint that hangs")
			}
		})
	}
}

func TestThroughAProxyAnAnswerThatHasBegunIsNotRetried(t *testing.T) {
	half := raw(t, func(c *net.TCPConn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	origin := good(t)
	p := through(t, "retry: {on: [connect, reset, 5xx], max: 3}", half, origin.address)
	broken := 0
	for range 2 {
		if _, code, _ := ask(t, p, "GET", ""); code == "broken off" {
			broken++
		}
	}
	if n := origin.n.Load(); broken != 1 || n != 1 {
		t.Errorf("%d of 2 answers broke off and the good origin was asked %d times, want 1 and 1", broken, n)
	}
}

func TestThroughAProxyTheExampleRuns(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0",
		"127.0.0.1:9001", refusing(t), "127.0.0.1:9002", good(t).address).Replace(string(example)))
	for range 4 {
		if status, code, _ := ask(t, p, "GET", ""); status != 200 {
			t.Fatalf("with one endpoint that refuses: got %d %s, want 200", status, code)
		}
	}
}

func TestThroughAProxyARouteRetriesToo(t *testing.T) {
	var path atomic.Value
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { path.Store(r.URL.Path) }))
	p := proxytest.Start(t, fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes:
  - name: all
    match: {path: /a/**}
    rewrite: {strip: /a}
    filters: [retry: {on: connect, backoff: 0s}]
    to: shop
upstreams: {shop: {endpoints: ["%s", "%s"]}}
`, refusing(t), origin))
	for range 4 {
		resp, err := http.Get(p.URL("web") + "/a/a/b")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || path.Load() != "/a/b" {
			t.Fatalf("got %d %s, and the origin was asked for %v; want 200 and /a/b",
				resp.StatusCode, resp.Header.Get("X-Sluice-Error"), path.Load())
		}
	}
}
