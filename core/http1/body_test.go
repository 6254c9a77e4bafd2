package http1_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// source delivers a message in pieces of at most step bytes.
type source struct {
	rest string
	step int
	end  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, s.end
	}
	n := copy(p[:min(len(p), s.step)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *source) ReadInto(from sock.Buffers) ([]byte, int, error) {
	p := from.Get()
	n, err := s.Read(p)
	if n == 0 {
		from.Put(p)
		return nil, 0, err
	}
	return p, n, nil
}

// owner records how a body ended.
type owner struct {
	ended int
	err   error
}

func (o *owner) BeforeRead() error { return nil }

func (o *owner) BodyEnded(err error) error {
	o.ended++
	o.err = err
	return err
}

type decoded struct {
	body, rest string
	err        error
	trailer    core.Header
	owner      owner
}

func decode(wire string, length int64, step int) (d decoded) {
	var rd http1.Reader
	src := &source{rest: wire, step: step, end: io.EOF}
	rd.Reset(src)
	var b http1.Body
	b.Init(&rd, &d.owner, length, 0, &d.trailer)
	p, err := io.ReadAll(&b)
	d.body, d.err = string(p), err
	d.rest = string(rd.Peek()) + src.rest
	return d
}

func TestBodiesAreReadToTheirEndHoweverTheBytesArrive(t *testing.T) {
	for _, tc := range []struct {
		name, wire, body, rest, trailer string
		length                          int64
	}{
		{"length", "helloGET /", "hello", "GET /", "", 5},
		{"to close", "hello", "hello", "", "", http1.ToClose},
		{"chunked", "5\r\nhello\r\n0\r\n\r\nGET /", "hello", "GET /", "", http1.Chunked},
		{"several chunks", "1\r\na\r\n2\r\nbc\r\n00A\r\n0123456789\r\n000\r\n\r\n", "abc0123456789", "", "", http1.Chunked},
		{"extensions", "5;a=b ;c\r\nhello\r\n0;z\r\n\r\n", "hello", "", "", http1.Chunked},
		{"space before an extension", "5 ;a\r\nhello\r\n0\r\n\r\n", "hello", "", "", http1.Chunked},
		{"trailer", "5\r\nhello\r\n0\r\nX-T: v\r\nContent-Length: 3\r\n\r\nrest", "hello", "rest", "v", http1.Chunked},
		{"empty", "0\r\n\r\nrest", "", "rest", "", http1.Chunked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				d := decode(tc.wire, tc.length, step)
				if d.err != nil || d.body != tc.body || d.rest != tc.rest || d.trailer.Get("X-T") != tc.trailer {
					t.Errorf("read %q by %d: got %q, then %q, trailer %v, %v", tc.wire, step, d.body, d.rest, d.trailer.Fields(), d.err)
				}
				if d.owner.ended != 1 || d.owner.err != nil || d.trailer.Has("Content-Length") {
					t.Errorf("by %d: ended %d times with %v, trailer %v", step, d.owner.ended, d.owner.err, d.trailer.Fields())
				}
			}
		})
	}
}

func TestChunkedFramingThatCouldBeReadDifferentlyIsAnError(t *testing.T) {
	for name, wire := range map[string]string{
		"0x":                      "0x5\r\nhello\r\n0\r\n\r\n",
		"sign":                    "+5\r\nhello\r\n0\r\n\r\n",
		"underscore":              "0_5\r\nhello\r\n0\r\n\r\n",
		"leading blank":           " 5\r\nhello\r\n0\r\n\r\n",
		"junk behind the size":    "5 5\r\nhello\r\n0\r\n\r\n",
		"16 digits":               "8000000000000005\r\nhello\r\n0\r\n\r\n",
		"17 digits":               "10000000000000005\r\nhello\r\n0\r\n\r\n",
		"line ends in lf":         "5\nhello\r\n0\r\n\r\n",
		"line ends in cr cr lf":   "5\r\r\nhello\r\n0\r\n\r\n",
		"data ends in lf":         "5\r\nhello\n0\r\n\r\n",
		"data ends in nothing":    "5\r\nhello0\r\n\r\n",
		"data ends in cr x":       "5\r\nhello\rX0\r\n\r\n",
		"last ends in lf":         "5\r\nhello\r\n0\n\n",
		"trailer ends in lf":      "5\r\nhello\r\n0\r\n\n",
		"cr x after the last":     "5\r\nhello\r\n0\r\n\rX",
		"nul in an extension":     "5;a\x00\r\nhello\r\n0\r\n\r\n",
		"lf in an extension":      "5;a\nb\r\nhello\r\n0\r\n\r\n",
		"long extension":          "5;" + strings.Repeat("a", 8<<10) + "\r\nhello\r\n0\r\n\r\n",
		"many extensions":         strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 100) + "0\r\n\r\n",
		"request in the trailer":  "0\r\nX: y\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"nul in the trailer":      "0\r\nX: \x00\r\n\r\n",
		"trailer above the limit": "0\r\n" + strings.Repeat("X: 0123456789\r\n", 5000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{1, 5, 1 << 20} {
				d := decode(wire, http1.Chunked, step)
				e, ok := core.AsError(d.err)
				if !ok || e.Code != core.CodeBadRequest {
					t.Errorf("read %.60q by %d: got %.40q and %v, due %s", wire, step, d.body, d.err, core.CodeBadRequest)
				}
				if d.owner.ended != 1 || d.owner.err == nil {
					t.Errorf("by %d: ended %d times with %v", step, d.owner.ended, d.owner.err)
				}
			}
		})
	}
}

func TestBodiesThatAreCutAreNeverComplete(t *testing.T) {
	for _, tc := range []struct {
		name, wire string
		length     int64
	}{
		{"length", "hell", 5},
		{"no chunk", "", http1.Chunked},
		{"half a size", "5", http1.Chunked},
		{"half a chunk", "5\r\nhel", http1.Chunked},
		{"no end of chunk", "5\r\nhello", http1.Chunked},
		{"no last chunk", "5\r\nhello\r\n", http1.Chunked},
		{"no end of trailer", "5\r\nhello\r\n0\r\n", http1.Chunked},
		{"half a trailer", "5\r\nhello\r\n0\r\nX: y\r\n", http1.Chunked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{1, 1 << 20} {
				if d := decode(tc.wire, tc.length, step); !errors.Is(d.err, io.ErrUnexpectedEOF) {
					t.Errorf("read %q by %d: got %q and %v, due %v", tc.wire, step, d.body, d.err, io.ErrUnexpectedEOF)
				}
			}
		})
	}
}

func TestABodyAboveItsLimitFails(t *testing.T) {
	var rd http1.Reader
	rd.Reset(&source{rest: "6\r\nhello!\r\n0\r\n\r\n", step: 100, end: io.EOF})
	var b http1.Body
	var o owner
	b.Init(&rd, &o, http1.Chunked, 5, &core.Header{})
	_, err := io.ReadAll(&b)
	if e, ok := core.AsError(err); !ok || e.Code != core.CodeBodyTooLarge {
		t.Errorf("got %v, due %s", err, core.CodeBodyTooLarge)
	}
}

func TestClosingABodyThatIsInTheBufferFreesItsConnection(t *testing.T) {
	var rd http1.Reader
	rd.Reset(&source{rest: "helloGET", step: 100, end: io.EOF})
	if err := rd.Fill(); err != nil {
		t.Fatal(err)
	}
	var b http1.Body
	var o owner
	b.Init(&rd, &o, 5, 0, &core.Header{})
	b.Close()
	if o.ended != 1 || o.err != nil || string(rd.Peek()) != "GET" {
		t.Errorf("ended %d times with %v, %q left", o.ended, o.err, rd.Peek())
	}
	b.Init(&rd, &o, 50, 0, &core.Header{})
	b.Close()
	if o.ended != 2 || !errors.Is(o.err, http1.ErrBodyClosed) {
		t.Errorf("ended %d times with %v, due %v", o.ended, o.err, http1.ErrBodyClosed)
	}
}

func TestHeadsAreFoundHoweverTheBytesArrive(t *testing.T) {
	const one, two = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, step := range []int{1, 2, 5, 1000} {
		var rd http1.Reader
		rd.Reset(&source{rest: "\r\n" + one + two, step: step, end: io.EOF})
		for _, want := range []string{one, two} {
			got, err := nextHead(&rd)
			if err != nil || got != want {
				t.Errorf("by %d: got %q, %v, due %q", step, got, err, want)
			}
		}
	}
}

func TestHeadsThatCannotBecomeValidAreRefusedBeforeTheirEnd(t *testing.T) {
	for _, tc := range []struct {
		name, wire string
		want       error
	}{
		{"bare lf", "GET / HTTP/1.1\nHost: x", http1.ErrLineEnd},
		{"lf first", "\nGET", http1.ErrLineEnd},
		{"many empty lines", "\r\n\r\n\r\n\r\nGET", http1.ErrLineEnd},
		{"endless", "GET /" + strings.Repeat("a", 40<<10), http1.ErrHeadTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rd http1.Reader
			rd.Reset(&source{rest: tc.wire, step: 9, end: io.EOF})
			if _, err := nextHead(&rd); !errors.Is(err, tc.want) {
				t.Errorf("read %.40q: got %v, due %v", tc.wire, err, tc.want)
			}
		})
	}
}

func nextHead(rd *http1.Reader) (string, error) {
	for {
		head, ok, err := rd.Head(32 << 10)
		if ok || err != nil {
			return head, err
		}
		if err := rd.Fill(); err != nil {
			return "", err
		}
	}
}

func TestChunksAreFramed(t *testing.T) {
	for _, n := range []int{1, 15, 16, 4095, 16000} {
		p := make([]byte, http1.ChunkHead+n+2)
		body := strings.Repeat("x", n)
		copy(p[http1.ChunkHead:], body)
		wire := string(http1.FrameChunk(p, n)) + string(http1.AppendLastChunk(nil, &core.Header{}))
		if d := decode(wire, http1.Chunked, 100); d.err != nil || d.body != body || d.rest != "" {
			t.Errorf("%d bytes: wrote %.20q, read back %d bytes, %v", n, wire, len(d.body), d.err)
		}
	}
}
