package bodylimit_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func start(t *testing.T, h http.HandlerFunc) *proxytest.Proxy {
	t.Helper()
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	origin := proxytest.Origin(t, h)
	return proxytest.Start(t, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:9000", origin).Replace(string(text)))
}

func TestTheExampleLimitsUploadsByRoute(t *testing.T) {
	p := start(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		path    string
		kib     int
		chunked bool
		status  int
	}{
		{"/", 64, false, 200}, {"/", 64, true, 200}, {"/", 65, false, 413}, {"/", 65, true, 413},
		{"/", 512, true, 413}, {"/upload", 100, false, 200}, {"/upload", 100, true, 200},
	} {
		var body io.Reader = strings.NewReader(strings.Repeat("x", c.kib<<10))
		if c.chunked {
			body = io.NopCloser(body)
		}
		resp, err := client.Post(p.URL("web")+c.path, "text/plain", body)
		if err != nil {
			t.Errorf("%d KiB to %s, chunked %v: %v", c.kib, c.path, c.chunked, err)
			continue
		}
		resp.Body.Close()
		code := resp.Header.Get("X-Sluice-Error")
		if resp.StatusCode != c.status || (code == "body_too_large") != (c.status == 413) {
			t.Errorf("%d KiB to %s, chunked %v: status %d, error %q; due %d", c.kib, c.path, c.chunked, resp.StatusCode, code, c.status)
		}
	}
}

func TestALongResponseIsNeverTakenForAWholeOne(t *testing.T) {
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/told" {
			w.Header().Set("Content-Length", "2048")
		}
		io.WriteString(w, strings.Repeat("x", 1024))
		w.(http.Flusher).Flush()
		io.WriteString(w, strings.Repeat("x", 1024))
	}))
	p := proxytest.Start(t, `
listeners: {web: "127.0.0.1:0"}
routes: [{name: all, filters: [{body_limit: {response: 1500B}}], to: app}]
upstreams: {app: {endpoints: "`+origin+`"}}`)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.URL("web") + "/told")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 {
		t.Errorf("with a length above the limit: status %d, due 502", resp.StatusCode)
	}
	resp, err = client.Get(p.URL("web") + "/untold")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("without a length: %d bytes came and then a regular end, due an error", n)
	}
}
