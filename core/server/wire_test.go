package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

// wireCase is a case of testdata/wire/corpus.json, whose head explains the fields.
type wireCase struct {
	ID      string   `json:"id"`
	Group   string   `json:"group"`
	Expect  string   `json:"expect"`
	Why     string   `json:"why"`
	Bytes   string   `json:"bytes"`
	Parts   []string `json:"parts"`
	N       *int     `json:"n"`
	Methods []string `json:"methods"`
	Status  []int    `json:"status"`
	Fwd     struct {
		Body      *string           `json:"body"`
		Target    string            `json:"target"`
		Header    map[string]string `json:"header"`
		NotHeader []string          `json:"not_header"`
	} `json:"fwd"`
	H2             *h2Message `json:"h2"`
	OriginResponse string     `json:"origin_response"`
	OriginClose    bool       `json:"origin_close"`
	Client         struct {
		Status     []int    `json:"status"`
		Body       *string  `json:"body"`
		NotBody    string   `json:"not_body"`
		NotHeader  []string `json:"not_header"`
		Truncated  bool     `json:"truncated"`
		Or502      bool     `json:"or_502"`
		NResponses int      `json:"n_responses"`
	} `json:"client"`
}

func (c *wireCase) n() int {
	if c.N == nil {
		return 1
	}
	return *c.N
}

var repeat = regexp.MustCompile(`(?s)\{\{rep:(.*?):(\d+)\}\}`)

// unescape turns code points into bytes and expands {{rep:X:N}}.
func unescape(s string) []byte {
	s = repeat.ReplaceAllStringFunc(s, func(m string) string {
		sub := repeat.FindStringSubmatch(m)
		n, _ := strconv.Atoi(sub[2])
		return strings.Repeat(sub[1], n)
	})
	out := make([]byte, 0, len(s))
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

func loadCorpus(t *testing.T) []wireCase {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/wire/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct {
		Cases []wireCase `json:"cases"`
	}
	if err := json.Unmarshal(raw, &corpus); err != nil {
		t.Fatal(err)
	}
	return corpus.Cases
}

// rawOrigin records the bytes it gets and answers each complete request with its target, or with
// scripted bytes.
type rawOrigin struct {
	addr string
	mu   sync.Mutex // guards all below
	got  []byte
	reqs []*received
	play []byte
	shut bool
}

type received struct {
	*http.Request
	body []byte
	raw  []byte // the head
}

func newRawOrigin(t *testing.T) *rawOrigin {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &rawOrigin{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	var conns sync.Map
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			wg.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return o
}

// tee notes what is read before anybody parses it.
type tee struct {
	o    *rawOrigin
	c    net.Conn
	head bytes.Buffer
}

func (r *tee) Read(p []byte) (int, error) {
	n, err := r.c.Read(p)
	r.o.mu.Lock()
	r.o.got = append(r.o.got, p[:n]...)
	r.o.mu.Unlock()
	r.head.Write(p[:n])
	return n, err
}

func (o *rawOrigin) serve(c net.Conn) {
	defer c.Close()
	src := &tee{o: o, c: c}
	br := bufio.NewReader(src)
	for {
		before := src.head.Len() - br.Buffered()
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		raw := bytes.Clone(src.head.Bytes()[before : src.head.Len()-br.Buffered()])
		o.mu.Lock()
		o.reqs = append(o.reqs, &received{req, body, raw})
		play, shut := o.play, o.shut
		o.mu.Unlock()
		if play != nil && !strings.HasPrefix(req.URL.Path, "/victim") {
			c.Write(play)
			if shut {
				return
			}
			continue
		}
		answer := "for " + req.RequestURI
		if req.Method == "HEAD" {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(answer))
			continue
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
}

func (o *rawOrigin) script(play []byte, shut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got, o.reqs, o.play, o.shut = nil, nil, play, shut
}

func (o *rawOrigin) seen() ([]byte, []*received) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.got), slices.Clone(o.reqs)
}

// answered is what a client got.
type answered struct {
	status []int
	body   []string
	header []http.Header
	failed bool // the last response was cut
	closed bool // the connection ended
	rest   string
}

// converse sends a case's bytes and reads until the connection ends or, with hold, for a moment.
func converse(t *testing.T, addr string, c *wireCase, hold bool) (a answered) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		conn.Write(unescape(c.Bytes))
		for _, p := range c.Parts {
			if _, err := conn.Write(unescape(p)); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond) // pieces must arrive as pieces
		}
		if !hold {
			conn.(*net.TCPConn).CloseWrite()
		}
	}()
	if hold {
		conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	}
	return readAnswers(conn, methodsOf(c))
}

func methodsOf(c *wireCase) []string {
	if c.Methods != nil {
		return c.Methods
	}
	text := c.Bytes
	if len(c.Parts) > 0 {
		text += c.Parts[0]
	}
	m, _, _ := strings.Cut(text, " ")
	return []string{m}
}

func readAnswers(conn net.Conn, methods []string) (a answered) {
	br := bufio.NewReader(conn)
	for {
		method := "GET"
		if i := len(a.status); i < len(methods) {
			method = methods[i]
		}
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			var ne net.Error
			a.closed = !errors.As(err, &ne) || !ne.Timeout()
			left, _ := br.Peek(br.Buffered())
			a.rest = string(left)
			return a
		}
		if resp.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		a.status = append(a.status, resp.StatusCode)
		a.body = append(a.body, string(body))
		a.header = append(a.header, resp.Header)
		if err != nil {
			a.failed, a.closed = true, true
			return a
		}
	}
}

func wireProxy(t *testing.T, origin string) string {
	p := proxytest.Start(t, `
listeners:
  web: { address: "127.0.0.1:0", limits: { body_idle: 3s, head_time: 3s, keep_alive: 3s } }
routes:
  - { name: all, to: origin }
upstreams:
  origin: { endpoints: ["`+origin+`"], timeout: { try: 2s, idle: 2s } }
`)
	return p.Addr("web")
}

func TestTheWireCorpus(t *testing.T) {
	origin := newRawOrigin(t)
	addr := wireProxy(t, origin.addr)
	for _, c := range loadCorpus(t) {
		if c.Group == "h2-downgrade" { // sent as frames, below
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			var play []byte
			if c.OriginResponse != "" {
				play = unescape(c.OriginResponse)
			}
			origin.script(play, c.OriginClose)
			a := converse(t, addr, &c, c.Expect == "wait")
			got, reqs := origin.seen()
			report := func(format string, args ...any) {
				t.Helper()
				t.Errorf("%s (%s, %s)\nsent %.300q\nforwarded %.300q\nanswered %v %.80q closed %v", fmt.Sprintf(format, args...),
					c.Why, c.Expect, c.Bytes+strings.Join(c.Parts, "|"), got, a.status, a.body, a.closed)
			}
			c.judge(report, a, got, reqs)
			for _, r := range reqs {
				if err := strict(r); err != nil {
					report("what was forwarded is not strict: %v", err)
				}
			}
			origin.script(nil, false)
			if err := victim(addr, c.ID); err != nil {
				report("the next client: %v", err)
			}
		})
	}
}

type reporter func(format string, args ...any)

func (c *wireCase) judge(report reporter, a answered, got []byte, reqs []*received) {
	refused := len(a.status) == 0 && a.closed || len(a.status) > 0 && a.status[0] >= 400
	switch c.Expect {
	case "reject":
		if !refused || len(got) > 0 {
			report("not refused")
		}
	case "reject_body":
		if len(reqs) > 0 || len(a.status) > 0 && a.status[0] < 400 || !a.closed {
			report("a broken body was taken")
		}
	case "accept", "accept_close":
		c.accepted(report, a, reqs)
	case "reject_or_close":
		if !(refused && len(got) == 0) && (len(reqs) != 1 || len(a.status) > 1 || !a.closed) {
			report("neither refused nor one request and closed")
		}
	case "either":
		if len(reqs) > c.n() {
			report("%d requests forwarded, at most %d due", len(reqs), c.n())
		}
		for _, r := range reqs {
			c.forwarded(report, r)
		}
	case "wait":
		if len(reqs) > 0 || len(a.status) > 0 && a.status[0] < 400 {
			report("answered before the request was complete")
		}
	case "client":
		c.client(report, a)
	}
	if c.Status != nil && len(a.status) > 0 && !slices.Contains(c.Status, a.status[0]) {
		report("status %d, due one of %v", a.status[0], c.Status)
	}
}

func (c *wireCase) accepted(report reporter, a answered, reqs []*received) {
	if len(reqs) != c.n() || len(a.status) != c.n() {
		report("%d requests forwarded, %d answers, %d due", len(reqs), len(a.status), c.n())
		return
	}
	for i, s := range a.status {
		if s < 200 || s > 299 {
			report("answer %d is %d", i, s)
		}
	}
	if c.Methods != nil {
		for i, m := range c.Methods {
			if reqs[i].Method != m {
				report("request %d is a %s, due %s", i, reqs[i].Method, m)
			}
		}
	}
	if c.Expect == "accept_close" && !a.closed {
		report("connection not closed")
	}
	c.forwarded(report, reqs[0])
}

func (c *wireCase) forwarded(report reporter, r *received) {
	if c.Fwd.Body != nil && string(r.body) != string(unescape(*c.Fwd.Body)) {
		report("forwarded body %.80q, due %.80q", r.body, *c.Fwd.Body)
	}
	if c.Fwd.Target != "" && r.RequestURI != c.Fwd.Target {
		report("forwarded target %q, due %q", r.RequestURI, c.Fwd.Target)
	}
	for name, want := range c.Fwd.Header {
		have := r.Header.Get(name)
		if strings.EqualFold(name, "host") {
			have = r.Host
		}
		if have != want {
			report("forwarded %s %q, due %q", name, have, want)
		}
	}
	for _, name := range c.Fwd.NotHeader {
		if r.Header.Get(name) != "" {
			report("forwarded %s", name)
		}
	}
}

func (c *wireCase) client(report reporter, a answered) {
	want := &c.Client
	if want.NotBody != "" && strings.Contains(strings.Join(a.body, "")+a.rest, want.NotBody) {
		report("the client got %q", want.NotBody)
	}
	if want.Or502 && len(a.status) > 0 && a.status[0] >= 500 {
		return
	}
	if want.Truncated {
		if !a.failed && len(a.status) > 0 && a.status[0] < 500 {
			report("a cut body looks complete")
		}
		return
	}
	if len(a.status) == 0 || want.Status != nil && !slices.Contains(want.Status, a.status[0]) {
		report("status %v, due %v", a.status, want.Status)
		return
	}
	if want.Body != nil && a.body[0] != *want.Body {
		report("body %q, due %q", a.body[0], *want.Body)
	}
	if want.NResponses > 0 && len(a.status) != want.NResponses {
		report("%d responses, due %d", len(a.status), want.NResponses)
	}
	for _, name := range want.NotHeader {
		if a.header[0].Get(name) != "" {
			report("the client got %s", name)
		}
	}
}

var strictField = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]?[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")
var strictLine = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+ [\x21-\x7e]+ HTTP/1\.1$`)

// strict checks a forwarded head by RFC 9112, beyond what net/http has checked.
func strict(r *received) error {
	head, _, ok := bytes.Cut(r.raw, []byte("\r\n\r\n"))
	if !ok {
		return errors.New("no end of head")
	}
	count := map[string]int{}
	for i, line := range strings.Split(string(head), "\r\n") {
		if i == 0 {
			if !strictLine.MatchString(line) {
				return fmt.Errorf("request line %q", line)
			}
			continue
		}
		if !strictField.MatchString(line) {
			return fmt.Errorf("field %q", line)
		}
		name, _, _ := strings.Cut(line, ":")
		count[strings.ToLower(name)]++
	}
	if count["host"] != 1 || count["content-length"]+count["transfer-encoding"] > 1 {
		return fmt.Errorf("fields that frame or route: %v", count)
	}
	return nil
}

// victim sends a request on a fresh connection, which must get its own answer.
func victim(addr, id string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /victim-%s HTTP/1.1\r\nHost: v.example\r\nConnection: close\r\n\r\n", id)
	a := readAnswers(conn, []string{"GET"})
	if len(a.body) != 1 || a.body[0] != "for /victim-"+id {
		return fmt.Errorf("got %v %q, due its own answer", a.status, a.body)
	}
	return nil
}
