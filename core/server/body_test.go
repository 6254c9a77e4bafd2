package server_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// noise returns n bytes that no two offsets share.
func noise(n int) []byte {
	p := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(p)
	return p
}

// mirror sends the request body back, or as many bytes of noise as the path says, with a length
// or without one.
func mirror(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/length/%d", &n); err == nil {
		w.Header().Set("Content-Length", fmt.Sprint(n))
		w.Write(noise(n))
		return
	}
	if _, err := fmt.Sscanf(r.URL.Path, "/chunks/%d", &n); err == nil {
		for p := noise(n); len(p) > 0; {
			k := min(len(p), 10_000)
			w.Write(p[:k])
			p = p[k:]
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		fmt.Fprintf(w, "%x", sha256.Sum256(body))
	}
}

func TestBodiesOfAnySizeArriveAsTheyWereSent(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "one", "one.example")
	origin := proxytest.Origin(t, http.HandlerFunc(mirror))
	plain := proxyTo(t, origin, "")
	secure := proxyTo(t, origin, fmt.Sprintf(`, tls: {certificates: [{cert: %[1]s/one.pem, key: %[1]s/one.key}]}`, a.dir))
	for _, tc := range []struct {
		name, url string
		client    *http.Client
	}{
		{"plain", plain.URL("web"), &http.Client{Timeout: time.Minute}},
		{"http/2 over tls", "https://" + secure.Addr("web"), a.client("one.example", nil)},
	} {
		for _, size := range []int{1, 100, 16 << 10, 64 << 10, 1 << 20, 9_999_999} {
			for _, kind := range []string{"length", "chunks"} {
				t.Run(fmt.Sprintf("%s %s %d down", tc.name, kind, size), func(t *testing.T) {
					resp, err := tc.client.Get(fmt.Sprintf("%s/%s/%d", tc.url, kind, size))
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, noise(size)) {
						t.Errorf("%d bytes came, or others, %v", len(got), err)
					}
				})
				t.Run(fmt.Sprintf("%s %s %d up", tc.name, kind, size), func(t *testing.T) {
					var body io.Reader = bytes.NewReader(noise(size))
					if kind == "chunks" {
						body = io.MultiReader(body) // hides the length
					}
					resp, err := tc.client.Post(tc.url+"/", "", body)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if got, _ := io.ReadAll(resp.Body); string(got) != fmt.Sprintf("%x", sha256.Sum256(noise(size))) {
						t.Errorf("the endpoint got others: %d %s", resp.StatusCode, got)
					}
				})
			}
		}
	}
}

func TestEventsAreNotHeldBack(t *testing.T) {
	next := make(chan string)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			w.(http.Flusher).Flush()
		}
	}))
	p := proxyTo(t, origin, "")
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(p.URL("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 100)
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		n, err := resp.Body.Read(buf)
		if err != nil || string(buf[:n]) != "data: "+event+"\n\n" {
			t.Fatalf("sent %s, got %q, %v", event, buf[:n], err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
}

// proxytest finds what is left running when the test ends.
func TestClientsThatGoAwayLeaveNothingBehind(t *testing.T) {
	reached := make(chan struct{}, 4)
	left := make(chan struct{}, 4)
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		io.Copy(io.Discard, r.Body)
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		left <- struct{}{}
	}))
	p := proxyTo(t, origin, "")
	for name, send := range map[string]string{
		"within a download": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"within an upload":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000),
	} {
		c, _ := dial(t, p.Addr("web"))
		io.WriteString(c, send)
		<-reached
		c.Close()
		select {
		case <-left:
		case <-time.After(15 * time.Second):
			t.Errorf("%s: the endpoint was not told", name)
		}
	}
}

func TestAnEndpointIsNotLeftWorkingForAClientThatIsGone(t *testing.T) {
	reached, left := make(chan struct{}), make(chan struct{})
	origin := proxytest.Origin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(left)
	}))
	p := proxyTo(t, origin, "")
	c, _ := dial(t, p.Addr("web"))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-reached
	c.Close()
	select {
	case <-left:
	case <-time.After(4 * time.Second): // timeout.try is 5 s
		t.Error("the endpoint was not told")
	}
}
