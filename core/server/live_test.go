package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

type noConfig struct{}

func init() {
	core.Register("test_panic", "panics", core.ScopeAny, func(*noConfig, *core.Env) (core.Filter, error) { return panicking{}, nil })
}

type panicking struct{}

func (panicking) Handle(*core.Exchange, core.Handler) error { panic("the filter's own doing") }

func TestAPanicInAFilterIsThatExchangesAlone(t *testing.T) {
	origin := proxytest.Origin(t, http.HandlerFunc(echo))
	p := proxytest.Start(t, fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes:
  - {name: bad, match: {path: /bad}, filters: [test_panic: {name: shaky}], to: o}
  - {name: good, to: o}
upstreams: {o: {endpoints: [%q]}}
`, origin))
	for range 3 {
		for path, want := range map[string]int{"/bad": 500, "/good": 200} {
			resp, err := http.Get(p.URL("web") + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d, due %d", path, resp.StatusCode, want)
			}
			if code := resp.Header.Get("X-Sluice-Error"); want == 500 && code != "filter_panic" {
				t.Errorf("%s: code %q", path, code)
			}
		}
	}
	if !contains(p.Log(), "shaky") || !contains(p.Log(), "the filter's own doing") {
		t.Errorf("the log does not name the filter: %s", p.Log())
	}
	var counts writer
	p.Metrics().WritePrometheus(&counts)
	if !contains(string(counts), `filter="shaky"`) {
		t.Error("the metrics do not name the filter")
	}
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

func TestReloadsCutNeitherWebSocketsNorStreamsNorRequests(t *testing.T) {
	next := make(chan string)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, msg, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, msg) != nil {
					return
				}
			}
		case "/events":
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			for event := range next {
				io.WriteString(w, event)
				w.(http.Flusher).Flush()
			}
		default:
			io.WriteString(w, "ok")
		}
	}))
	config := func(i int) string {
		return fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes:
  - {name: all, to: o, metadata: {round: "%d"}}
upstreams: {o: {endpoints: [%q]}}
`, i, origin)
	}
	p := proxytest.Start(t, config(0))
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+p.Addr("web")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	events, err := http.Get(p.URL("web") + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()

	stop := make(chan struct{})
	var requests atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get(p.URL("web"))
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(body) != "ok" {
					t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
				}
				requests.Add(1)
			}
		})
	}
	buf := make([]byte, 64)
	for i := range 200 {
		if i%20 == 7 {
			if err := p.Reload("listeners: {web: 7"); err == nil {
				t.Error("a configuration that is none was taken")
			}
		}
		if err := p.Reload(config(i + 1)); err != nil {
			t.Fatal(err)
		}
		if i%25 != 0 {
			continue
		}
		msg := fmt.Sprintf("round %d", i)
		if err := ws.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatalf("after %d reloads: %v", i, err)
		}
		if _, got, err := ws.Read(ctx); err != nil || string(got) != msg {
			t.Fatalf("after %d reloads: %q, %v", i, got, err)
		}
		next <- msg
		if n, err := events.Body.Read(buf); err != nil || string(buf[:n]) != msg {
			t.Fatalf("after %d reloads: %q, %v", i, buf[:n], err)
		}
	}
	close(stop)
	load.Wait()
	close(next)
	ws.Close(websocket.StatusNormalClosure, "")
	t.Logf("%d requests over 200 reloads", requests.Load())
	if requests.Load() == 0 {
		t.Error("no request was made meanwhile")
	}
}

func TestADrainLetsExchangesEndAndCutsWhatIsLateOnly(t *testing.T) {
	release := make(chan struct{})
	reached := make(chan struct{}, 2)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		io.WriteString(w, "late but whole")
	}))
	p := proxyTo(t, origin, "")
	idle, idleReader := dial(t, p.Addr("web"))
	io.WriteString(idle, "GET /none HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
	readResponse(t, idleReader, "GET")
	busy, busyReader := dial(t, p.Addr("web"))
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-reached
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(context.Background()) }()
	for p.Server().Draining() == false {
		time.Sleep(time.Millisecond)
	}
	if c, err := net.DialTimeout("tcp", p.Addr("web"), time.Second); err == nil {
		c.Close()
		t.Error("a draining proxy still takes connections")
	}
	close(release)
	if resp, body := readResponse(t, busyReader, "GET"); body != "late but whole" || !resp.Close {
		t.Errorf("got %q, close %v", body, resp.Close)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}

	release = make(chan struct{})
	p = proxyTo(t, origin, "")
	late, lateReader := dial(t, p.Addr("web"))
	io.WriteString(late, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-reached
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain with a deadline: %v", err)
	}
	if _, err := http.ReadResponse(lateReader, nil); err == nil {
		t.Error("an exchange that was cut got an answer")
	}
}
