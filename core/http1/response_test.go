package http1_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func TestResponsesThatAreTaken(t *testing.T) {
	for _, tc := range []struct {
		name, head, method, reason string
		status                     int
		length                     int64
		keepAlive                  bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "", 200, 5, true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "", 200, http1.Chunked, true},
		{"to close", "HTTP/1.1 200 OK\r\n\r\n", "GET", "", 200, http1.ToClose, false},
		{"head has no body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "", 200, 0, true},
		{"204 has no body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET", "", 204, 0, true},
		{"304 has no body", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "", 304, 0, true},
		{"connect has no body", "HTTP/1.1 200 OK\r\n\r\n", "CONNECT", "", 200, 0, true},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", "", 200, 0, true},
		{"another reason", "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n", "GET", "Fine", 200, 0, true},
		{"1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", "GET", "", 200, 2, false},
		{"close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", "GET", "", 200, 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var resp core.Response
			m, err := http1.ParseResponse(tc.head, tc.method, &resp, &limits)
			if err != nil {
				t.Fatalf("read %q: %v", tc.head, err)
			}
			if resp.Status != tc.status || resp.Reason != tc.reason || m.Length != tc.length || m.KeepAlive != tc.keepAlive {
				t.Errorf("read %q, got %d %q %+v", tc.head, resp.Status, resp.Reason, m)
			}
		})
	}
}

func TestResponsesThatAreRefused(t *testing.T) {
	for name, head := range map[string]string{
		"length and chunked": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
		"negative length":    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"unknown coding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n",
		"chunked in 1.0":     "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"version 2":          "HTTP/2.0 200 OK\r\n\r\n",
		"leading space":      " HTTP/1.1 200 OK\r\n\r\n",
		"two digits":         "HTTP/1.1 20 OK\r\n\r\n",
		"status 600":         "HTTP/1.1 600 X\r\n\r\n",
		"letters":            "HTTP/1.1 2x0 OK\r\n\r\n",
		"control in reason":  "HTTP/1.1 200 O\x01K\r\n\r\n",
		"bare cr":            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"space before colon": "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"no colon":           "HTTP/1.1 200 OK\r\nabc\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var resp core.Response
			_, err := http1.ParseResponse(head, "GET", &resp, &limits)
			if e, ok := core.AsError(err); !ok || e.Code != core.CodeUpstreamProtocol {
				t.Errorf("read %q, got %v, due %s", head, err, core.CodeUpstreamProtocol)
			}
		})
	}
}

func TestResponsesAreWrittenWithTheProxysOwnFraming(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 5\r\nConnection: close\r\nKeep-Alive: 3\r\na: 2\r\n\r\n"
	for _, tc := range []struct {
		name, want string
		f          http1.ResponseFraming
	}{
		{"length", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 7\r\n\r\n",
			http1.ResponseFraming{Length: 7, KeepAlive: true, ClientProto: core.HTTP11}},
		{"chunked", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
			http1.ResponseFraming{Length: http1.Chunked, KeepAlive: true, ClientProto: core.HTTP11}},
		{"to close", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nConnection: close\r\n\r\n",
			http1.ResponseFraming{Length: http1.ToClose, ClientProto: core.HTTP10}},
		{"1.0 kept", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
			http1.ResponseFraming{Length: 0, KeepAlive: true, ClientProto: core.HTTP10}},
		{"nothing", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\n\r\n",
			http1.ResponseFraming{Length: http1.NoLength, KeepAlive: true, ClientProto: core.HTTP11}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var resp core.Response
			if _, err := http1.ParseResponse(head, "GET", &resp, &limits); err != nil {
				t.Fatal(err)
			}
			if got := string(http1.AppendResponse(nil, &resp, tc.f)); got != tc.want {
				t.Errorf("wrote %q\ndue   %q", got, tc.want)
			}
		})
	}
}
