package http1_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

var limits = http1.Limits{Head: 32 << 10, Fields: 100, Target: 8 << 10}

func TestRequestsThatAreTaken(t *testing.T) {
	for _, tc := range []struct {
		name, head                  string
		method, authority, path     string
		query                       string
		length                      int64
		keepAlive, expect, hasQuery bool
	}{
		{name: "plain", head: "GET /a?b=c HTTP/1.1\r\nHost: x.example:80\r\n\r\n",
			method: "GET", authority: "x.example:80", path: "/a", query: "b=c", hasQuery: true, keepAlive: true},
		{name: "empty query keeps its mark", head: "GET /a? HTTP/1.1\r\nHost: x\r\n\r\n",
			method: "GET", authority: "x", path: "/a", hasQuery: true, keepAlive: true},
		{name: "absolute form wins over Host", head: "GET http://a.example/p HTTP/1.1\r\nHost: b.example\r\n\r\n",
			method: "GET", authority: "a.example", path: "/p", keepAlive: true},
		{name: "absolute form without a path", head: "GET http://a.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n",
			method: "GET", authority: "a.example", path: "/", query: "q", hasQuery: true, keepAlive: true},
		{name: "asterisk", head: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
			method: "OPTIONS", authority: "x", path: "*", keepAlive: true},
		{name: "connect", head: "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
			method: "CONNECT", authority: "a.example:443", path: "/", keepAlive: true},
		{name: "1.0 closes", head: "GET / HTTP/1.0\r\n\r\n", method: "GET", path: "/"},
		{name: "1.0 keeps when asked", head: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
			method: "GET", path: "/", keepAlive: true},
		{name: "close in a list", head: "GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, CLose\r\n\r\n",
			method: "GET", authority: "x", path: "/"},
		{name: "length", head: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
			method: "POST", authority: "x", path: "/", length: 5, keepAlive: true},
		{name: "chunked", head: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n",
			method: "POST", authority: "x", path: "/", length: http1.Chunked, keepAlive: true},
		{name: "expectation", head: "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
			method: "POST", authority: "x", path: "/", length: 5, keepAlive: true, expect: true},
		{name: "expectation without a body says nothing", head: "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
			method: "GET", authority: "x", path: "/", keepAlive: true},
		{name: "ipv6", head: "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
			method: "GET", authority: "[::1]:8080", path: "/", keepAlive: true},
		{name: "dot segments are settled", head: "GET /a/%2e%2e//b HTTP/1.1\r\nHost: x\r\n\r\n",
			method: "GET", authority: "x", path: "/b", keepAlive: true},
		{name: "bytes outside the grammar are escaped", head: "GET /{a}|b?c=\"d\" HTTP/1.1\r\nHost: x\r\n\r\n",
			method: "GET", authority: "x", path: "/%7Ba%7D%7Cb", query: "c=%22d%22", hasQuery: true, keepAlive: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var req core.Request
			m, err := http1.ParseRequest(tc.head, &req, &limits)
			if err != nil {
				t.Fatalf("sent %q: %v", tc.head, err)
			}
			if req.Method != tc.method || req.Authority != tc.authority || req.RawPath() != tc.path ||
				req.Query() != tc.query || req.HasQuery() != tc.hasQuery {
				t.Errorf("sent %q, got %s %s %s ? %q (%v), due %s %s %s ? %q (%v)", tc.head, req.Method, req.Authority,
					req.RawPath(), req.Query(), req.HasQuery(), tc.method, tc.authority, tc.path, tc.query, tc.hasQuery)
			}
			if m.Length != tc.length || m.KeepAlive != tc.keepAlive || m.Expect100 != tc.expect {
				t.Errorf("sent %q, got %+v, due length %d keep %v expect %v", tc.head, m, tc.length, tc.keepAlive, tc.expect)
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		code       core.Code
		status     int
	}{
		{"length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", core.CodeBadRequest, 400},
		{"equal lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", core.CodeBadRequest, 400},
		{"list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", core.CodeBadRequest, 400},
		{"signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", core.CodeBadRequest, 400},
		{"length of 19 digits", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000000000\r\n\r\n", core.CodeBadRequest, 400},
		{"gzip before chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", core.CodeBadRequest, 501},
		{"chunked twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", core.CodeBadRequest, 501},
		{"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", core.CodeBadRequest, 400},
		{"alias of transfer-encoding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked\r\n\r\n", core.CodeBadRequest, 400},
		{"bare cr in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", core.CodeBadRequest, 400},
		{"nul in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", core.CodeBadRequest, 400},
		{"folded line", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", core.CodeBadRequest, 400},
		{"space before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", core.CodeBadRequest, 400},
		{"no colon", "GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n", core.CodeBadRequest, 400},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", core.CodeBadRequest, 400},
		{"host with user", "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", core.CodeBadRequest, 400},
		{"host with a port above 65535", "GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n", core.CodeBadRequest, 400},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"relative target", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"escaped nul", "GET /a%00 HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"escape that is none", "GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"asterisk with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"connect with a path", "CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"version 2", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", core.CodeBadRequest, 505},
		{"version that is none", "GET / HTTP/11\r\nHost: x\r\n\r\n", core.CodeBadRequest, 400},
		{"unknown expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", core.CodeExpectation, 417},
		{"long target", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", core.CodeTargetTooLong, 414},
		{"many fields", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 100) + "\r\n", core.CodeHeadTooLarge, 431},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var req core.Request
			_, err := http1.ParseRequest(tc.head, &req, &limits)
			e, ok := core.AsError(err)
			if !ok || e.Code != tc.code || e.StatusCode() != tc.status {
				t.Errorf("sent %.80q, got %v, due %s with %d", tc.head, err, tc.code, tc.status)
			}
		})
	}
}

func TestFieldsThatConnectionNamesAreRemovedButForThoseThatFrameAndRoute(t *testing.T) {
	var req core.Request
	head := "POST / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop, Host, Content-Length\r\n" +
		"X-Hop: 1\r\nX-Stay: 2\r\nContent-Length: 3\r\n\r\n"
	m, err := http1.ParseRequest(head, &req, &limits)
	if err != nil {
		t.Fatal(err)
	}
	if req.Header.Has("X-Hop") || !req.Header.Has("X-Stay") || req.Authority != "x" || m.Length != 3 {
		t.Errorf("got %v, authority %q, length %d", req.Header.Fields(), req.Authority, m.Length)
	}
}

func TestRequestsAreWrittenWithoutFieldsOfTheConnection(t *testing.T) {
	for _, tc := range []struct {
		name, head, want string
		length           int64
	}{
		{"get", "GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\na: 2\r\n\r\n",
			"GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\n\r\n", 0},
		{"post without a body", "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 0},
		{"length as the body has it", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nB: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nB: 1\r\nContent-Length: 9\r\n\r\n", 9},
		{"chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", http1.Chunked},
		{"upgrade", "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 0},
		{"upgrade that connection does not name", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		{"upgrade to h2c", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		{"trailers are asked for", "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, trailers\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n\r\n", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var req core.Request
			if _, err := http1.ParseRequest(tc.head, &req, &limits); err != nil {
				t.Fatal(err)
			}
			if got := string(http1.AppendRequest(nil, &req, tc.length)); got != tc.want {
				t.Errorf("read %q\nwrote %q\ndue   %q", tc.head, got, tc.want)
			}
		})
	}
}

func TestValuesThatFiltersSetCannotEndALine(t *testing.T) {
	req := core.Request{Method: "GET", Authority: "x"}
	req.SetTarget("/")
	req.Header.Set("A", "b\r\nEvil: 1")
	req.Header.Add("C", "d\ne\x00")
	want := "GET / HTTP/1.1\r\nHost: x\r\nA: b  Evil: 1\r\nC: d e \r\n\r\n"
	if got := string(http1.AppendRequest(nil, &req, 0)); got != want {
		t.Errorf("wrote %q, due %q", got, want)
	}
}
