package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Message is what a case of the group h2-downgrade sends as frames.
type h2Message struct {
	Headers  [][2]string `json:"headers"`
	Body     string      `json:"body"`
	Trailers [][2]string `json:"trailers"`
}

func TestTheWireCorpusOverHTTP2(t *testing.T) {
	origin := newRawOrigin(t)
	addr := wireProxy(t, origin.addr)
	ran := 0
	// The library drops trailer fields that were not announced, without a word: the request goes
	// on without them, which is as safe as refusing it.
	dropped := map[string]bool{"h2-trailers-te": true}
	for _, c := range loadCorpus(t) {
		if c.Group != "h2-downgrade" {
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			origin.script(nil, false)
			a := converseH2(t, addr, c.H2)
			if dropped[c.ID] {
				c.Expect = "either"
			}
			got, reqs := origin.seen()
			report := func(format string, args ...any) {
				t.Helper()
				t.Errorf("%s (%s, %s)\nsent %.300q\nforwarded %.300q\nanswered %v %.80q", fmt.Sprintf(format, args...),
					c.Why, c.Expect, c.H2, got, a.status, a.body)
			}
			c.judge(report, a, got, reqs)
			for _, r := range reqs {
				if err := strict(r); err != nil {
					report("what was forwarded is not strict: %v", err)
				}
			}
			if err := victim(addr, c.ID); err != nil {
				report("the next client: %v", err)
			}
		})
	}
	if ran == 0 {
		t.Error("the corpus has no case for HTTP/2")
	}
}

// converseH2 sends one stream by prior knowledge, with no check of its own, and reads until the
// stream or the connection has ended.
func converseH2(t *testing.T, addr string, m *h2Message) (a answered) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go sendStream(conn, m)
	fr := http2.NewFramer(io.Discard, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var body bytes.Buffer
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			var se http2.StreamError
			a.closed = !errors.As(err, &se)
			return a
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status, _ := strconv.Atoi(f.PseudoValue("status")); status >= 200 {
				a.status = append(a.status, status)
			}
			if f.StreamEnded() {
				a.body = append(a.body, body.String())
				a.closed = true
				return a
			}
		case *http2.DataFrame:
			body.Write(f.Data())
			if f.StreamEnded() {
				a.body = append(a.body, body.String())
				a.closed = true
				return a
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			a.closed, a.failed = true, true
			return a
		}
	}
}

func sendStream(conn net.Conn, m *h2Message) {
	io.WriteString(conn, http2.ClientPreface)
	fr := http2.NewFramer(conn, nil)
	fr.AllowIllegalWrites = true
	fr.WriteSettings()
	end := m.Body == "" && m.Trailers == nil
	writeBlock(fr, m.Headers, end)
	if end {
		return
	}
	fr.WriteData(1, m.Trailers == nil, unescape(m.Body))
	if m.Trailers != nil {
		writeBlock(fr, m.Trailers, true)
	}
}

func writeBlock(fr *http2.Framer, fields [][2]string, end bool) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		enc.WriteField(hpack.HeaderField{Name: string(unescape(f[0])), Value: string(unescape(f[1]))})
	}
	p := block.Bytes()
	first := p[:min(len(p), 16<<10)]
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(p)})
	for p = p[len(first):]; len(p) > 0; {
		part := p[:min(len(p), 16<<10)]
		p = p[len(part):]
		fr.WriteContinuation(1, len(p) == 0, part)
	}
}

func (m *h2Message) String() string {
	var b strings.Builder
	for _, f := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
	}
	return b.String() + "\n" + m.Body
}
