package origin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxEcho bounds the request body that an echo repeats.
const maxEcho = 1 << 20

// piece is how much of a chunked body is sent at a time.
const piece = 16 << 10

// answer serves the requests of one listener.
type answer struct {
	Config
	body []byte
}

func newAnswer(c Config) *answer {
	a := &answer{Config: c, body: []byte(c.Text)}
	if c.Size > 0 {
		a.body = bytes.Repeat([]byte("0123456789abcdef"), int(c.Size/16)+1)[:c.Size]
	}
	return a
}

func (a *answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.wait(r.Context()) {
		return
	}
	w.Header().Set("X-Origin", a.Name)
	switch luck := rand.Float64(); {
	case luck < float64(a.ResetRate):
		reset(w)
		return
	case luck < float64(a.ResetRate+a.FailureRate):
		http.Error(w, "failed on purpose", http.StatusServiceUnavailable)
		return
	}
	switch {
	case a.GRPC && isGRPC(r):
		answerGRPC(w, r)
	case a.Stream:
		a.stream(w, r)
	case a.Echo:
		a.echo(w, r)
	default:
		a.send(w, "text/plain; charset=utf-8", a.body)
	}
}

// wait lets the latency pass; it is false when the client left.
func (a *answer) wait(ctx context.Context) bool {
	d := a.Latency.Std()
	if j := a.Jitter.Std(); j > 0 {
		d += time.Duration((rand.Float64()*2 - 1) * float64(j))
	}
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset cuts the connection, or over HTTP/2 the stream, before any answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a close sends RST instead of FIN
	}
	conn.Close()
}

func (a *answer) send(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	if !a.Chunked {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(a.Status)
		w.Write(body)
		return
	}
	w.WriteHeader(a.Status)
	flush := http.NewResponseController(w).Flush
	for len(body) > 0 {
		// Two pieces at least, so that even a short text arrives as more than one chunk.
		n := min(piece, (len(body)+1)/2)
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		flush()
		body = body[n:]
	}
}

func (a *answer) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.Status)
	flush := http.NewResponseController(w).Flush
	for n := 1; a.Ticks == 0 || n <= a.Ticks; n++ {
		if _, err := fmt.Fprintf(w, "event: tick\ndata: {\"origin\":%q,\"tick\":%d}\n\n", a.Name, n); err != nil {
			return
		}
		flush()
		if n != a.Ticks && !sleep(r.Context(), a.Tick.Std()) {
			return
		}
	}
}

// Echo is the request as an origin with Config.Echo repeats it.
type Echo struct {
	Origin   string              `json:"origin"` // name of the origin
	Method   string              `json:"method"`
	Target   string              `json:"target"` // request-target as it came
	Proto    string              `json:"proto"`
	Host     string              `json:"host"`
	Header   map[string][]string `json:"header"`
	Trailer  map[string][]string `json:"trailer,omitempty"`
	Body     string              `json:"body"` // its first MiB
	BodySize int64               `json:"body_size"`
	Client   string              `json:"client"` // address of the peer
}

func (a *answer) echo(w http.ResponseWriter, r *http.Request) {
	var body strings.Builder
	n, err := io.Copy(&body, io.LimitReader(r.Body, maxEcho))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, r.Body)
		n += rest
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	e := Echo{
		Origin: a.Name, Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Header: r.Header, Trailer: r.Trailer, Body: body.String(), BodySize: n, Client: r.RemoteAddr,
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.send(w, "application/json", append(text, '\n'))
}
