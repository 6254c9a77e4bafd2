package compress_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

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

func TestTheExampleReachesCurlCompressed(t *testing.T) {
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Path == "/chunked" {
			for line := range strings.Lines(page) {
				io.WriteString(w, line)
			}
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
	})
	for _, path := range []string{"/length", "/chunked"} {
		out, err := exec.Command("curl", "-sS", "--compressed", "-H", "Accept-Encoding: gzip", p.URL("web")+path).Output()
		if err != nil || string(out) != page {
			t.Errorf("%s: %d bytes came, %d are due, error %v", path, len(out), len(page), err)
		}
		head, err := exec.Command("curl", "-sS", "-o", "/dev/null", "-D", "-", "-w", "%{size_download}",
			"-H", "Accept-Encoding: gzip", p.URL("web")+path).Output()
		if err != nil || !strings.Contains(string(head), "\r\nContent-Encoding: gzip\r\n") || strings.Contains(string(head), "Content-Length") {
			t.Errorf("%s: head is\n%s, error %v; due gzip and no length", path, head, err)
		}
	}
}

func TestAnEventIsNotHeldBack(t *testing.T) {
	next := make(chan string)
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			io.WriteString(w, event)
			w.(http.Flusher).Flush()
		}
	})
	defer func() {
		if next != nil {
			close(next)
		}
	}()
	go func() { next <- "data: 0\n" }()
	req, err := http.NewRequest("GET", p.URL("web"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(z)
	for i, due := range []string{"data: 0\n", "data: 1\n", "data: 2\n"} {
		if i > 0 {
			next <- due
		}
		got, err := lines.ReadString('\n')
		if err != nil || got != due {
			t.Fatalf("event %d is %q, error %v; due %q before the next is sent", i, got, err, due)
		}
	}
	close(next)
	next = nil
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("behind the last event %q came, error %v; due a regular end", rest, err)
	}
}

func TestAnEndpointThatDiesMidBodyEndsTheResponseAbnormally(t *testing.T) {
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, page)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	req, err := http.NewRequest("GET", p.URL("web"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes came and then a regular end, due an error", n)
	}
}
