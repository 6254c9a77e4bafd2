package http1

import (
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

// Limits bound what a head may be. The zero value of a field is no limit.
type Limits struct {
	Head   int // bytes of the whole head
	Fields int // number of header fields
	Target int // bytes of the request-target
}

// Message is what framing and connection fields say of a message.
type Message struct {
	// Length is the body's length; Chunked and ToClose when the end is found otherwise.
	Length    int64
	KeepAlive bool
	Expect100 bool // Expect: 100-continue
}

// Values of Message.Length beside a number of bytes.
const (
	Chunked int64 = -1
	ToClose int64 = -2 // a response that ends with its connection
)

// ParseRequest parses a head, as Reader.Head returned it, into req. Errors are *core.Error with
// the status that the client is due; the connection cannot go on after one.
func ParseRequest(head string, req *core.Request, lim *Limits) (Message, error) {
	line, rest := cutLine(head)
	if err := parseRequestLine(line, req, lim); err != nil {
		return Message{}, err
	}
	var f fieldState
	f.length = -1
	if err := f.parse(rest, &req.Header, lim.Fields, req); err != nil {
		return Message{}, err
	}
	return f.finishRequest(req)
}

func cutLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	return s[:i-1], s[i+1:]
}

func bad(format string, args ...any) error { return core.Errorf(core.CodeBadRequest, format, args...) }

func parseRequestLine(line string, req *core.Request, lim *Limits) error {
	i := strings.IndexByte(line, ' ')
	j := strings.LastIndexByte(line, ' ')
	if i <= 0 || j == i {
		return bad("request line is not method, target and version")
	}
	method, target, version := line[:i], line[i+1:j], line[j+1:]
	switch version {
	case "HTTP/1.1":
		req.Proto = core.HTTP11
	case "HTTP/1.0":
		req.Proto = core.HTTP10
	default:
		return versionError(version)
	}
	if len(method) > maxMethod || !only(method, isToken) {
		return bad("method is not a token of at most %d bytes", maxMethod)
	}
	req.Method = method
	if lim.Target > 0 && len(target) > lim.Target {
		return core.Errorf(core.CodeTargetTooLong, "target of %d bytes is above the limit of %d", len(target), lim.Target)
	}
	return parseTarget(target, req)
}

// maxMethod is the longest method taken; the longest registered one has 17 bytes.
const maxMethod = 32

func versionError(version string) error {
	err := core.Errorf(core.CodeBadRequest, "version is not HTTP/1.0 or HTTP/1.1")
	if len(version) == 8 && strings.HasPrefix(version, "HTTP/") && version[6] == '.' {
		err.Status = 505
	}
	return err
}

// fieldState collects, while fields are parsed, what decides framing and connection.
type fieldState struct {
	length    int64 // -1: no Content-Length
	hosts     int
	te        int // Transfer-Encoding fields
	teChunked bool
	close     bool
	keepAlive bool
	nominated bool // Connection names fields of the message's own
	upgrade   bool // Connection: upgrade
	expect    bool
	expectBad bool
}

// parse reads fields up to the empty line. req is nil for a response or a trailer.
func (f *fieldState) parse(s string, h *core.Header, limit int, req *core.Request) error {
	count := 0
	for {
		i := strings.IndexByte(s, '\n')
		if i == 1 {
			return nil
		}
		line := s[:i-1]
		s = s[i+1:]
		if count++; limit > 0 && count > limit {
			return core.Errorf(core.CodeHeadTooLarge, "more than %d header fields", limit)
		}
		name, value, err := parseField(line)
		if err != nil {
			return err
		}
		keep, err := f.note(name, value, req)
		if err != nil {
			return err
		}
		if keep {
			h.AddParsed(name, value)
		}
	}
}

func parseField(line string) (name, value string, err error) {
	i := 0
	for i < len(line) && class[line[i]]&isToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return "", "", fieldError(line, i)
	}
	name, value = line[:i], core.TrimOWS(line[i+1:])
	if !only(value, isValue) {
		return "", "", bad("value of field %s holds a control character", name)
	}
	return name, value, nil
}

func fieldError(line string, i int) error {
	switch {
	case line != "" && (line[0] == ' ' || line[0] == '\t'):
		return bad("folded header line, which RFC 9112 5.2 has abolished")
	case i < len(line) && (line[i] == ' ' || line[i] == '\t') && i > 0:
		return bad("space before the colon of field %s", line[:i])
	case i == 0:
		return bad("header line without a field name")
	}
	return bad("header line %q is not a name, a colon and a value", clip(line))
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// note looks at the fields that decide framing and connection. keep is false for Host, which
// becomes the authority.
func (f *fieldState) note(name, value string, req *core.Request) (keep bool, err error) {
	switch len(name) {
	case 4:
		if req != nil && core.EqualFold(name, "Host") {
			f.hosts++
			if req.Authority == "" {
				req.Authority = value
			}
			return false, checkAuthority(value, true)
		}
	case 6:
		if core.EqualFold(name, "Expect") {
			f.expectBad = f.expectBad || !core.EqualFold(value, "100-continue")
			f.expect = true
		}
	case 10:
		if core.EqualFold(name, "Connection") {
			f.connection(value)
		}
	case 14:
		return true, f.contentLength(name, value)
	case 17:
		return true, f.transferEncoding(name, value)
	}
	return true, nil
}

func (f *fieldState) connection(value string) {
	for len(value) > 0 {
		item := value
		if i := strings.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = ""
		}
		switch item = core.TrimOWS(item); {
		case item == "":
		case core.EqualFold(item, "close"):
			f.close = true
		case core.EqualFold(item, "keep-alive"):
			f.keepAlive = true
		case core.EqualFold(item, "upgrade"):
			f.upgrade = true
		default:
			f.nominated = true
		}
	}
}

func (f *fieldState) contentLength(name, value string) error {
	if core.EqualFold(name, "Content_Length") {
		return bad("field %s, which some servers read as Content-Length", name)
	}
	if !core.EqualFold(name, "Content-Length") {
		return nil
	}
	if f.length >= 0 {
		return bad("more than one Content-Length")
	}
	n, ok := ParseLength(value)
	if !ok {
		return bad("content-length %q is not a number of bytes", clip(value))
	}
	f.length = n
	return nil
}

// ParseLength parses a Content-Length: 1*DIGIT, below 2^60.
func ParseLength(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, n < 1<<60
}

func (f *fieldState) transferEncoding(name, value string) error {
	if core.EqualFold(name, "Transfer_Encoding") {
		return bad("field %s, which some servers read as Transfer-Encoding", name)
	}
	if !core.EqualFold(name, "Transfer-Encoding") {
		return nil
	}
	f.te++
	f.teChunked = core.EqualFold(value, "chunked")
	return nil
}

func (f *fieldState) finishRequest(req *core.Request) (Message, error) {
	m := Message{KeepAlive: f.alive(req.Proto)}
	if err := f.checkHost(req); err != nil {
		return m, err
	}
	switch {
	case f.te > 1 || f.te == 1 && !f.teChunked:
		return m, &core.Error{Code: core.CodeBadRequest, Side: core.SideClient, Status: 501,
			Err: errCoding}
	case f.te == 1 && f.length >= 0:
		return m, bad("both Transfer-Encoding and Content-Length")
	case f.te == 1 && req.Proto == core.HTTP10:
		return m, bad("Transfer-Encoding in HTTP/1.0")
	case f.te == 1:
		m.Length = Chunked
	case f.length > 0:
		m.Length = f.length
	}
	if req.Method == "CONNECT" && m.Length != 0 {
		return m, bad("CONNECT with a body")
	}
	if f.expect && f.expectBad {
		return m, core.Errorf(core.CodeExpectation, "expectation other than 100-continue")
	}
	m.Expect100 = f.expect && req.Proto == core.HTTP11 && m.Length != 0
	if f.nominated {
		dropNominated(&req.Header)
	}
	f.noteUpgrade(req)
	return m, nil
}

var errCoding = bad("transfer coding is not exactly chunked")

func (f *fieldState) alive(p core.Proto) bool {
	if p == core.HTTP10 {
		return f.keepAlive && !f.close
	}
	return !f.close
}

func (f *fieldState) checkHost(req *core.Request) error {
	switch {
	case f.hosts > 1:
		return bad("more than one Host")
	case f.hosts == 0 && req.Proto == core.HTTP11:
		return bad("no Host")
	}
	return nil
}

func (f *fieldState) noteUpgrade(req *core.Request) {
	if req.Method == "CONNECT" {
		req.Upgrade = "connect"
		return
	}
	if !f.upgrade || req.Proto != core.HTTP11 {
		return
	}
	// An upgrade to h2c, which RFC 9113 has abolished, would tunnel requests past every filter.
	if protocols := req.Header.Joined("Upgrade"); !core.HasToken(protocols, "h2c") {
		req.Upgrade = protocols
	}
}

// dropNominated removes the fields that Connection names as hop-by-hop (RFC 9110 7.6.1). Those
// that say where the message goes or how long it is stay: a sender that names them is mistaken
// or worse.
func dropNominated(h *core.Header) {
	list := h.Joined("Connection")
	h.DelFunc(func(f core.Field) bool {
		if !core.HasToken(list, f.Name) {
			return false
		}
		return !core.EqualFold(f.Name, "Connection") && !core.EqualFold(f.Name, "Content-Length") &&
			!core.EqualFold(f.Name, "Transfer-Encoding") && !core.EqualFold(f.Name, "Upgrade") &&
			!core.EqualFold(f.Name, "TE")
	})
}
