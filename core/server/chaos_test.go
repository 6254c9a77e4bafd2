package server_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/sluiceproxy/sluice/plugins/breaker"
	_ "github.com/sluiceproxy/sluice/plugins/retry"
	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// mood is how an endpoint behaves.
type mood int32

const (
	well mood = iota
	resets
	hangs
	trickles
	babbles
	cuts
	fails
	moods
)

// moody is an endpoint whose mood changes.
type moody struct {
	addr string
	mood atomic.Int32
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	var conns sync.Map
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			wg.Go(func() {
				defer conns.Delete(c)
				defer c.Close()
				for br := bufio.NewReader(c); m.serve(c, br); {
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return m
}

func (m *moody) serve(c net.Conn, br *bufio.Reader) bool {
	req, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	body := fmt.Sprintf("id=%s body=%s %s", req.Header.Get("X-Id"), sent, strings.Repeat("z", rand.IntN(40_000)))
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	switch mood(m.mood.Load()) {
	case resets:
		c.(*net.TCPConn).SetLinger(0)
		return false
	case hangs:
		time.Sleep(400 * time.Millisecond)
		return false
	case trickles:
		for _, part := range []string{head[:10], head[10:], body[:5], body[5:]} {
			io.WriteString(c, part)
			time.Sleep(5 * time.Millisecond)
		}
		return true
	case babbles:
		io.WriteString(c, "SSH-2.0-what\r\n\r\n")
		return false
	case cuts:
		io.WriteString(c, head+body[:len(body)/2])
		return false
	case fails:
		io.WriteString(c, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
		return true
	}
	_, err = io.WriteString(c, head+body)
	return err == nil
}

// Whatever endpoints do, a client gets its own answer whole, or an error that it can tell.
func TestUnderChaosNobodyGetsAWrongAnswer(t *testing.T) {
	var endpoints []*moody
	var list []string
	for range 4 {
		m := newMoody(t)
		endpoints, list = append(endpoints, m), append(list, fmt.Sprintf("%q", m.addr))
	}
	p := proxytest.Start(t, fmt.Sprintf(`
listeners: {web: "127.0.0.1:0"}
routes: [{name: all, to: origin}]
upstreams:
  origin:
    endpoints: [%s]
    balance: ewma
    timeout: {connect: 1s, try: 200ms, total: 2s, idle: 300ms}
    eject: {consecutive: 3, for: 50ms..200ms}
    filters:
      - retry: {on: [connect, refused, reset, timeout, 5xx], max: 3, budget: none, backoff: 1ms..5ms}
      - breaker: {failures: 90%%, of: 50, window: 1s, open: 50ms}
`, strings.Join(list, ", ")))
	stop := make(chan struct{})
	var weather sync.WaitGroup
	weather.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				// The first endpoint stays well, so that there is somebody to retry at.
				endpoints[1+rand.IntN(3)].mood.Store(rand.Int32N(int32(moods)))
			}
		}
	})
	var right, refused, cut atomic.Int64
	var load sync.WaitGroup
	for w := range 12 {
		load.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := range 120 {
				oneUnderChaos(t, client, p.URL("web"), fmt.Sprintf("%d-%d", w, i), i%3 == 0, &right, &refused, &cut)
			}
		})
	}
	load.Wait()
	close(stop)
	weather.Wait()
	t.Logf("%d right, %d refused, %d cut", right.Load(), refused.Load(), cut.Load())
	if right.Load() < 12*120*8/10 {
		t.Errorf("%d of %d exchanges were right", right.Load(), 12*120)
	}
}

func oneUnderChaos(t *testing.T, client *http.Client, url, id string, put bool, right, refused, cut *atomic.Int64) {
	method, sent := "GET", ""
	if put {
		method, sent = "PUT", "sent-"+id
	}
	req, _ := http.NewRequest(method, url, strings.NewReader(sent))
	req.Header.Set("X-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		cut.Add(1)
	case resp.StatusCode != 200:
		refused.Add(1)
	case !strings.HasPrefix(string(body), "id="+id+" body="+sent+" "):
		t.Errorf("%s got the answer %.60q", id, body)
	default:
		right.Add(1)
	}
}
