package compress

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("compress", "Compresses responses for clients that accept it.", core.ScopeAny, New)
}

// Config is the YAML of the filter compress.
//
// A response is left as it is when it has no body or a partial one, is encoded already, is an
// answer to HEAD, or says no-transform. An encoded response has no Content-Length, no
// Accept-Ranges and no digest of the content that was; its strong ETag becomes a weak one.
type Config struct {
	// Encodings are those to use; the first wins where the client likes several as much.
	// Default: zstd, br, gzip.
	Encodings []string `yaml:"encodings" enum:"zstd,br,gzip"`

	// MinSize is the length below which a response is not worth it. One whose length is not
	// known is encoded. Default: 1KiB.
	MinSize core.Size `yaml:"min_size"`

	// Types are the media types to encode, without parameters; a '*' stands for any text, as in
	// text/* and application/*+json. Default: text/* and the usual types of JSON, XML,
	// JavaScript, WebAssembly, SVG and uncompressed fonts.
	Types []string `yaml:"types"`

	// Levels trade time for size.
	Levels Levels `yaml:"levels"`
}

// Levels are how hard each encoder works.
type Levels struct {
	// Gzip is the level of gzip. Default: 5; range: 1 (fast) to 9 (small).
	Gzip int `yaml:"gzip"`

	// Brotli is the level of br. Above 6 it is too slow for responses that are made as they are
	// asked for. Default: 4; range: 0 to 11.
	Brotli int `yaml:"br"`

	// Zstd is the level of zstd, as the zstd command numbers them. Default: 3; range: 1 to 19.
	Zstd int `yaml:"zstd"`
}

// Defaults implements core.Defaulter.
func (c *Config) Defaults() {
	*c = Config{
		Encodings: []string{"zstd", "br", "gzip"},
		MinSize:   1 << 10,
		Types: []string{
			"text/*", "application/json", "application/*+json", "application/xml", "application/*+xml",
			"application/javascript", "application/x-javascript", "application/ld+json", "application/x-ndjson",
			"application/wasm", "application/manifest+json", "image/svg+xml", "image/bmp", "image/x-icon",
			"font/ttf", "font/otf", "application/vnd.ms-fontobject",
		},
		Levels: Levels{Gzip: 5, Brotli: 4, Zstd: 3},
	}
}

// Validate implements core.Validator.
func (c *Config) Validate() error {
	switch {
	case len(c.Encodings) == 0:
		return errors.New("encodings is empty: list zstd, br or gzip")
	case len(c.Types) == 0:
		return errors.New("types is empty: list media types such as text/*")
	case c.Levels.Gzip < 1 || c.Levels.Gzip > 9:
		return errors.New("levels: gzip is out of range: write 1 to 9")
	case c.Levels.Brotli < 0 || c.Levels.Brotli > 11:
		return errors.New("levels: br is out of range: write 0 to 11")
	case c.Levels.Zstd < 1 || c.Levels.Zstd > 19:
		return errors.New("levels: zstd is out of range: write 1 to 19")
	}
	for i, name := range c.Encodings {
		if slices.Contains(c.Encodings[:i], name) {
			return fmt.Errorf("encodings: %s is listed twice", name)
		}
	}
	for _, t := range c.Types {
		if kind, sub, ok := strings.Cut(t, "/"); !ok || kind == "" || sub == "" ||
			strings.Count(t, "*") > 1 || strings.ContainsAny(t, "; ") {
			return fmt.Errorf("types: %q is no media type: write one such as text/html or text/*", t)
		}
	}
	return nil
}

// Filter encodes responses.
type Filter struct {
	codings []*coding // in the order of preference
	minSize int64
	types   []mediaType
}

// New makes the filter.
func New(c *Config, _ *core.Env) (core.Filter, error) {
	f := &Filter{minSize: int64(c.MinSize)}
	for _, name := range c.Encodings {
		coding, err := newCoding(name, c.Levels)
		if err != nil {
			return nil, err
		}
		f.codings = append(f.codings, coding)
	}
	for _, t := range c.Types {
		prefix, suffix, wild := strings.Cut(strings.ToLower(t), "*")
		f.types = append(f.types, mediaType{prefix, suffix, wild})
	}
	return f, nil
}

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if err := next.Handle(x); err != nil {
		return err
	}
	if !f.varies(&x.Response) {
		return nil
	}
	h := &x.Response.Header
	addVary(h)
	if x.Request.Method == "HEAD" || x.Response.Body.None() || noTransform(&x.Request.Header) {
		return nil
	}
	accepted := x.Request.Header.Joined("Accept-Encoding")
	coding := choose(accepted, f.codings)
	if coding == nil {
		return nil
	}
	h.Add("Content-Encoding", coding.name)
	settle(h)
	length := x.Response.Body.Length()
	x.Response.Body.Wrap(-1, func(r io.ReadCloser) io.ReadCloser { return newStream(coding, r, length) })
	return nil
}

// varies reports whether the response would be encoded for some client.
func (f *Filter) varies(r *core.Response) bool {
	if r.Status < 200 || r.Status == 204 || r.Status == 206 || r.Status == 304 || r.Tunnel != nil {
		return false
	}
	h := &r.Header
	if n := r.Body.Length(); !r.Body.None() && n >= 0 && n < f.minSize {
		return false
	}
	return f.worthIt(h.Get("Content-Type")) && !encoded(h) && !h.Has("Content-Range") && !noTransform(h)
}

func encoded(h *core.Header) bool {
	value, ok := h.Lookup("Content-Encoding")
	return ok && !core.EqualFold(value, "identity")
}

// noTransform: RFC 9111 5.2.1.6 and 5.2.2.6.
func noTransform(h *core.Header) bool {
	for value := range h.Values("Cache-Control") {
		if core.HasToken(value, "no-transform") {
			return true
		}
	}
	return false
}

// settle makes the fields those of the encoded representation.
func settle(h *core.Header) {
	h.DelFunc(func(field core.Field) bool {
		switch {
		case core.EqualFold(field.Name, "Content-Encoding"):
			return core.EqualFold(field.Value, "identity")
		case core.EqualFold(field.Name, "Accept-Ranges"):
			return true // a range would be one of bytes that are made anew each time
		}
		return digest(field.Name)
	})
	// RFC 9110 8.8.3.3: a strong tag names one sequence of bytes.
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		h.Set("ETag", "W/"+tag)
	}
}

func digest(name string) bool {
	return core.EqualFold(name, "Content-MD5") || core.EqualFold(name, "Digest") ||
		core.EqualFold(name, "Content-Digest") || core.EqualFold(name, "Repr-Digest")
}

func addVary(h *core.Header) {
	for value := range h.Values("Vary") {
		if value == "*" || core.HasToken(value, "Accept-Encoding") {
			return
		}
	}
	h.Add("Vary", "Accept-Encoding")
}

// mediaType is a media type, or what stands around the '*' of a pattern.
type mediaType struct {
	prefix, suffix string
	wild           bool
}

func (f *Filter) worthIt(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	essence = strings.TrimRight(essence, " \t")
	for i := range f.types {
		if f.types[i].match(essence) {
			return true
		}
	}
	return false
}

func (t *mediaType) match(s string) bool {
	if !t.wild {
		return core.EqualFold(s, t.prefix)
	}
	n := len(s) - len(t.suffix)
	return n >= len(t.prefix) && core.EqualFold(s[:len(t.prefix)], t.prefix) && core.EqualFold(s[n:], t.suffix)
}
