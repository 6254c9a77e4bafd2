package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// proxy starts a proxy whose listener web has the settings and whose only route leads to origin.
func proxyTo(t *testing.T, origin, settings string) *proxytest.Proxy {
	t.Helper()
	return proxytest.Start(t, fmt.Sprintf(`
listeners:
  web: { address: "127.0.0.1:0"%s }
routes:
  - { name: all, to: origin }
upstreams:
  origin: { endpoints: ["%s"], timeout: { try: 5s } }
`, settings, origin))
}

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
	r.Header.Write(w)
	fmt.Fprintf(w, "\n%s", body)
}

// dial opens a raw connection that fails the test rather than hang.
func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

func readResponse(t *testing.T, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("response cut: %v", err)
	}
	return resp, string(body)
}

func TestRequestsOnOneConnectionAreAnsweredInOrder(t *testing.T) {
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(echo)), "")
	c, br := dial(t, p.Addr("web"))
	var out bytes.Buffer
	for i := range 50 {
		fmt.Fprintf(&out, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nb%02d", i, i)
	}
	go c.Write(out.Bytes())
	for i := range 50 {
		_, body := readResponse(t, br, "POST")
		if !strings.HasPrefix(body, fmt.Sprintf("POST /%d a\n", i)) || !strings.HasSuffix(body, fmt.Sprintf("\nb%02d", i)) {
			t.Fatalf("answer %d is %q", i, body)
		}
	}
}

func TestLimitsHaveTheirStatus(t *testing.T) {
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(echo)),
		`, limits: { head: 2KiB, fields: 10, target: 100B, body: 1KiB, head_time: 200ms, body_idle: 200ms }`)
	for _, tc := range []struct {
		name, send string
		status     int
		code       string
	}{
		{"target", "GET /" + strings.Repeat("a", 200) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long"},
		{"endless target", "GET /" + strings.Repeat("a", 4000), 414, "target_too_long"},
		{"head", "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", 4000) + "\r\n\r\n", 431, "head_too_large"},
		{"fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 20) + "\r\n", 431, "head_too_large"},
		{"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", 413, "body_too_large"},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("a", 2000) + "\r\n0\r\n\r\n", 413, "body_too_large"},
		{"slow head", "GET / HTTP/1.1\r\nHo", 408, "client_timeout"},
		{"slow body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408, "client_timeout"},
		{"not http", "\x16\x03\x01\x02\x00\n\n", 400, "bad_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, br := dial(t, p.Addr("web"))
			io.WriteString(c, tc.send)
			resp, _ := readResponse(t, br, "GET")
			if resp.StatusCode != tc.status || resp.Header.Get("X-Sluice-Error") != tc.code || !resp.Close {
				t.Errorf("sent %.60q, got %d %s close %v, due %d %s and close", tc.send, resp.StatusCode,
					resp.Header.Get("X-Sluice-Error"), resp.Close, tc.status, tc.code)
			}
			if n, err := br.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection is still there: %d, %v", n, err)
			}
		})
	}
}

func TestErrorsOfRoutingAndEndpointsHaveTheirCode(t *testing.T) {
	p := proxytest.Start(t, `
listeners:
  web: "127.0.0.1:0"
routes:
  - { name: dead, match: { host: dead.example }, to: dead }
  - { name: none, match: { host: none.example } }
upstreams:
  dead: { endpoints: ["127.0.0.1:1"] }
`)
	for _, tc := range []struct {
		host   string
		status int
		code   string
	}{{"unknown.example", 404, "no_route"}, {"dead.example", 502, "connect_refused"}, {"none.example", 500, "no_upstream"}} {
		req, _ := http.NewRequest("GET", p.URL("web"), nil)
		req.Host = tc.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status || resp.Header.Get("X-Sluice-Error") != tc.code {
			t.Errorf("%s: got %d %s, due %d %s", tc.host, resp.StatusCode, resp.Header.Get("X-Sluice-Error"), tc.status, tc.code)
		}
	}
}

func TestAnExpectationIsPassedOnAndNotMetTooEarly(t *testing.T) {
	ask := make(chan bool)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			req, err := http.ReadRequest(br)
			if err != nil || req.Header.Get("Expect") != "100-continue" {
				fmt.Fprint(c, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
				c.Close()
				continue
			}
			if !<-ask {
				fmt.Fprint(c, "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				c.Close()
				continue
			}
			fmt.Fprint(c, "HTTP/1.1 100 Continue\r\n\r\n")
			body, _ := io.ReadAll(req.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			c.Close()
		}
	}()
	p := proxyTo(t, ln.Addr().String(), "")
	const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

	c, br := dial(t, p.Addr("web"))
	io.WriteString(c, head)
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if line, err := br.Peek(1); err == nil {
		t.Fatalf("answered %q before the endpoint has", line)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	ask <- true
	if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("got %q, %v, due 100", line, err)
	}
	br.ReadString('\n')
	io.WriteString(c, "hello")
	if resp, body := readResponse(t, br, "POST"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}

	c, br = dial(t, p.Addr("web"))
	io.WriteString(c, head)
	ask <- false
	if resp, _ := readResponse(t, br, "POST"); resp.StatusCode != 417 || !resp.Close {
		t.Errorf("got %d, close %v, due 417 and close: the body may or may not follow", resp.StatusCode, resp.Close)
	}
}

func TestInterimResponsesArePassedOn(t *testing.T) {
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		io.WriteString(w, "done")
	})), "")
	c, br := dial(t, p.Addr("web"))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 103 || resp.Header.Get("Link") != "</a.css>" {
		t.Fatalf("got %+v, %v, due 103 with its Link", resp, err)
	}
	if resp, body := readResponse(t, br, "GET"); resp.StatusCode != 200 || body != "done" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}

func TestWebSocketsPassBothWays(t *testing.T) {
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("echo "), msg...)); err != nil {
				return
			}
		}
	}))
	p := proxyTo(t, origin, "")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+p.Addr("web")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, msg := range []string{"one", strings.Repeat("x", 30_000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != "echo "+msg {
			t.Fatalf("sent %.20q, got %.20q, %v", msg, got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestConnectOpensATunnelThroughTheEndpoint(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		br := bufio.NewReader(c)
		if req, err := http.ReadRequest(br); err != nil || req.Method != "CONNECT" || req.Host != "b.example:443" {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 Connected\r\n\r\n")
		io.Copy(c, br)
	}()
	p := proxyTo(t, ln.Addr().String(), "")
	c, br := dial(t, p.Addr("web"))
	io.WriteString(c, "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\nearly")
	resp, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %+v, %v", resp, err)
	}
	io.WriteString(c, " late")
	c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(br); err != nil || string(got) != "early late" {
		t.Errorf("through the tunnel came %q, %v", got, err)
	}
}

func TestForwardingFieldsTellTheClientWhoeverLies(t *testing.T) {
	origin := proxytest.Origin(t, http.HandlerFunc(echo))
	for _, tc := range []struct {
		name, settings, send string
		want, not            []string
	}{
		{"defaults replace what the client says", "", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n",
			[]string{"X-Forwarded-For: 127.0.0.1\r", "X-Forwarded-Proto: http\r", "X-Forwarded-Host: a.example\r", "Via: 1.1 sluice\r"},
			[]string{"6.6.6.6", "https"}},
		{"a trusted proxy is believed", `, trusted_proxies: [127.0.0.0/8]`, "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n",
			[]string{"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r", "X-Forwarded-Proto: https\r"}, nil},
		{"off leaves them alone", `, x_forwarded: false, via: ""`, "X-Forwarded-For: 6.6.6.6\r\n",
			[]string{"X-Forwarded-For: 6.6.6.6\r"}, []string{"Via", "X-Forwarded-Proto"}},
		{"rfc 7239", `, x_forwarded: false, forwarded: true`, "Forwarded: for=6.6.6.6\r\n",
			[]string{`Forwarded: for=127.0.0.1;host="a.example";proto=http` + "\r"}, []string{"6.6.6.6"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := proxyTo(t, origin, tc.settings)
			c, br := dial(t, p.Addr("web"))
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n"+tc.send+"\r\n")
			_, got := readResponse(t, br, "GET")
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("the endpoint got\n%s\nwithout %q", got, w)
				}
			}
			for _, n := range tc.not {
				if strings.Contains(got, n) {
					t.Errorf("the endpoint got\n%s\nwith %q", got, n)
				}
			}
		})
	}
}

func TestAProxyProtocolHeaderNamesTheClient(t *testing.T) {
	p := proxyTo(t, proxytest.Origin(t, http.HandlerFunc(echo)), `, proxy_protocol: true`)
	c, br := dial(t, p.Addr("web"))
	io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, got := readResponse(t, br, "GET"); !strings.Contains(got, "X-Forwarded-For: 192.0.2.7\r") {
		t.Errorf("the endpoint got %q", got)
	}
	c, br = dial(t, p.Addr("web"))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := br.ReadByte(); err == nil {
		t.Errorf("a connection without a header was answered with %q", b)
	}
}

func TestAnEndpointThatDiesWithinABodyNeverLooksComplete(t *testing.T) {
	for _, tc := range []struct{ name, answer, client string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello", "HTTP/1.1"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.1"},
		{"chunks to a 1.0 client", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newRawOrigin(t)
			o.script([]byte(tc.answer), true)
			p := proxyTo(t, o.addr, "")
			c, br := dial(t, p.Addr("web"))
			fmt.Fprintf(c, "GET / %s\r\nHost: a\r\n\r\n", tc.client)
			resp, err := http.ReadResponse(br, &http.Request{Method: "GET"})
			if err != nil {
				return // the end came before the head was read: visible enough
			}
			if body, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("got %q as if it were complete", body)
			}
		})
	}
}

// A client that reads nothing must stop the endpoint, not fill the proxy's memory.
func TestASlowClientHoldsBackAFastEndpoint(t *testing.T) {
	const size = 512 << 20
	sent := make(chan int, 1)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		total, block := 0, make([]byte, 1<<20)
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		ctl := http.NewResponseController(w)
		for total < size {
			ctl.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := w.Write(block)
			total += n
			if err != nil {
				break
			}
		}
		sent <- total
	}))
	p := proxyTo(t, origin, "")
	for _, path := range []string{"/chunks", "/length"} {
		c, _ := dial(t, p.Addr("web"))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		if n := <-sent; n > size/4 {
			t.Errorf("%s: the endpoint could send %d MiB to a client that reads nothing", path, n>>20)
		}
		c.Close()
	}
}
