package core

// Proto is the HTTP version that a message came in.
type Proto uint8

// The versions.
const (
	HTTP10 Proto = iota + 1
	HTTP11
	HTTP2
	HTTP3
)

func (p Proto) String() string {
	return [...]string{"", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"}[p]
}

// Request is what the client sent, as the filters have changed it so far.
type Request struct {
	Method    string
	Scheme    string // http or https, as the client sees it
	Authority string // host and port as received: what goes upstream in Host or :authority
	Proto     Proto
	Header    Header // without Host, which is Authority
	Body      Body
	Trailer   Header // complete once Body has returned io.EOF
	Upgrade   string // protocol asked for by Upgrade, "" when none; "connect" for CONNECT

	received string // request-target as received
	path     string // escaped path as it will be forwarded
	query    string // after the '?', without it
	hasQuery bool
	clean    string // decoded, normalized path; computed once
	cleanOK  bool
	host     string // Authority without port, lower case; computed once for hostOf
	hostOf   string
}

// Response is the answer, as the filters have changed it so far.
type Response struct {
	Status  int    // 0: nobody has answered yet
	Reason  string // reason phrase, "" for the usual one
	Proto   Proto  // of the endpoint's answer
	Header  Header
	Body    Body
	Trailer Header // complete once Body has returned io.EOF

	// Tunnel is set with status 101, or 2xx to CONNECT: the bytes after the head, both ways.
	Tunnel Tunnel
}

// Tunnel is the endpoint's side of an upgraded connection.
type Tunnel interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	CloseWrite() error
	Close() error
}

// SetTarget sets path and query from an origin-form target as a client would send it.
// The path must begin with '/', or be "*" for OPTIONS; the front ends have checked theirs.
func (r *Request) SetTarget(target string) {
	if i := indexByte(target, '?'); i >= 0 {
		r.SetPath(target[:i])
		r.query, r.hasQuery = target[i+1:], true
		return
	}
	r.SetPath(target)
	r.query, r.hasQuery = "", false
}

// SetReceived notes the request-target as the client sent it, and sets path and query from it.
// originForm is the target without scheme and authority.
func (r *Request) SetReceived(target, originForm string) {
	r.received = target
	r.SetTarget(originForm)
	r.settlePath()
}

// Received returns the request-target as the client sent it ($request_uri).
func (r *Request) Received() string { return r.received }

// RawPath returns the path that will be forwarded, escaped.
func (r *Request) RawPath() string { return r.path }

// SetPath sets the path that will be forwarded. It must be escaped and begin with '/'.
func (r *Request) SetPath(escaped string) {
	r.path, r.clean, r.cleanOK = escaped, "", false
}

// Query returns what follows the '?', without it.
func (r *Request) Query() string { return r.query }

// HasQuery reports whether there is a '?', even with nothing behind it.
func (r *Request) HasQuery() bool { return r.hasQuery }

// SetQuery sets the query, which must be escaped; "" removes the '?' too.
func (r *Request) SetQuery(escaped string) { r.query, r.hasQuery = escaped, escaped != "" }

// AppendTarget appends the origin-form target as it will be forwarded.
func (r *Request) AppendTarget(dst []byte) []byte {
	dst = append(dst, r.path...)
	if r.hasQuery {
		dst = append(dst, '?')
		dst = append(dst, r.query...)
	}
	return dst
}

// Path returns the decoded path with dot segments resolved: what routes match and $uri shows.
// Escaped slashes and backslashes stay escaped, so that a match and the endpoint cannot disagree
// about where a segment ends. It allocates only when the path is escaped.
func (r *Request) Path() string {
	if !r.cleanOK {
		r.clean, r.cleanOK = cleanPath(r.path), true
	}
	return r.clean
}

// Host returns the host of Authority without its port, in lower case, without a trailing dot.
func (r *Request) Host() string {
	if r.hostOf != r.Authority {
		r.host, r.hostOf = hostOnly(r.Authority), r.Authority
	}
	return r.host
}

// Arg returns the first value of a query argument, unescaped, and whether it is there.
func (r *Request) Arg(name string) (string, bool) { return lookupArg(r.query, name) }

// Cookie returns the value of the first cookie called name, and whether there is one.
func (r *Request) Cookie(name string) (string, bool) {
	for i := range r.Header.fields {
		f := &r.Header.fields[i]
		if !EqualFold(f.Name, "Cookie") {
			continue
		}
		if v, ok := lookupCookie(f.Value, name); ok {
			return v, true
		}
	}
	return "", false
}

func (r *Request) reset() {
	h, t := r.Header, r.Trailer
	h.Reset()
	t.Reset()
	*r = Request{Header: h, Trailer: t}
}

func (r *Response) reset() {
	h, t := r.Header, r.Trailer
	h.Reset()
	t.Reset()
	*r = Response{Header: h, Trailer: t}
}

// Reset makes the response as if nobody had answered yet. The body is closed first: its
// connection cannot be used again unless it was read to the end.
func (r *Response) Reset() {
	r.Body.Close()
	if r.Tunnel != nil {
		r.Tunnel.Close()
	}
	r.reset()
}
