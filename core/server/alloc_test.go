package server_test

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// Two allocations are due: the request's head and the response's, a string each.
func TestAProxiedExchangeAllocatesItsTwoHeadsAndNothingElse(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates: figures mean nothing")
	}
	origin := cannedOrigin(t)
	p := proxytest.Start(t, `
listeners:
  web: { address: "127.0.0.1:0" }
routes:
  - { name: all, match: { host: a.example, path: /p/** }, to: origin }
upstreams:
  origin: { endpoints: ["`+origin+`"], timeout: { try: 5s } }
`)
	c, br := dial(t, p.Addr("web"))
	request := []byte("GET /p/q?x=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	response := make([]byte, len(canned))
	exchange := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(br, response); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		exchange()
	}
	runtime.GC()
	got := testing.AllocsPerRun(500, exchange)
	t.Logf("%.2f allocations for each exchange", got)
	if got > 2 && !raceEnabled {
		t.Errorf("%.2f allocations for each exchange, due 2", got)
	}
}

const canned = "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

// cannedOrigin answers each request with the same bytes and allocates nothing for it.
func cannedOrigin(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				out := []byte(canned)
				for {
					for {
						line, err := br.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) == 2 {
							break
						}
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}
