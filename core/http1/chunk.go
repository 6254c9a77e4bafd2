package http1

import (
	"bytes"
	"io"
)

// nextChunk reads a chunk-size line and, behind the last chunk, the trailer section. Afterwards
// the body is in a chunk's data or at its end.
func (b *Body) nextChunk() error {
	if b.left < 0 {
		if err := b.chunkDataEnd(); err != nil {
			return err
		}
	}
	line, err := b.chunkLine()
	if err != nil {
		return err
	}
	size, used, err := parseChunkLine(line)
	if err != nil {
		return err
	}
	if b.ext += len(line) - used; b.ext > maxChunkExt {
		return bad("chunk extensions are above %d bytes", maxChunkExt)
	}
	b.rd.Skip(len(line) + 2)
	if size > 0 {
		b.kind, b.left = inChunk, size
		return nil
	}
	if err := b.trailers(); err != nil {
		return err
	}
	b.end(io.EOF)
	return nil
}

// chunkBuffered reports whether the next chunk's size and a byte of its data, or the whole end of
// the body, are in the buffer. A size with leading zeros is not worth the trouble.
func (b *Body) chunkBuffered() bool {
	p := b.rd.Peek()
	if b.left < 0 {
		p = bytes.TrimPrefix(p, []byte("\r\n"))
	}
	if bytes.HasPrefix(p, []byte("0")) {
		return bytes.HasPrefix(p, []byte("0\r\n\r\n"))
	}
	i := bytes.IndexByte(p, '\n')
	return i > 0 && i+1 < len(p)
}

func (b *Body) chunkDataEnd() error {
	if err := b.need(2); err != nil {
		return err
	}
	if p := b.rd.Peek(); p[0] != '\r' || p[1] != '\n' {
		return bad("chunk data does not end in CRLF")
	}
	b.rd.Skip(2)
	b.left = 0
	return nil
}

// need fills the buffer until n bytes are in it, or what is there can be told wrong already.
func (b *Body) need(n int) error {
	for b.rd.Buffered() < n {
		if p := b.rd.Peek(); len(p) > 0 && p[0] != '\r' {
			return bad("chunk data does not end in CRLF")
		}
		if err := b.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Body) fill() error {
	if err := b.owner.BeforeRead(); err != nil {
		return err
	}
	err := b.rd.Fill()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunkLine returns a chunk-size line without its CRLF. It stays in the buffer.
func (b *Body) chunkLine() ([]byte, error) {
	seen := 0
	for {
		p := b.rd.Peek()
		if i := bytes.IndexByte(p[seen:], '\n'); i >= 0 {
			i += seen
			if i == 0 || p[i-1] != '\r' {
				return nil, bad("chunk-size line does not end in CRLF")
			}
			if i > maxChunkLine {
				return nil, bad("chunk-size line is above %d bytes", maxChunkLine)
			}
			return p[:i-1], nil
		}
		if seen = len(p); seen > maxChunkLine {
			return nil, bad("chunk-size line is above %d bytes", maxChunkLine)
		}
		if err := checkChunkStart(p); err != nil {
			return nil, err
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// checkChunkStart refuses a line that cannot become valid, rather than wait for its end.
func checkChunkStart(p []byte) error {
	for i, c := range p {
		switch {
		case class[c]&isHex != 0 && i < maxSizeDigits:
		case i > 0 && (c == ';' || c == ' ' || c == '\t' || c == '\r'):
			return nil
		default:
			return bad("chunk-size is not a hexadecimal number")
		}
	}
	return nil
}

// maxSizeDigits keeps a chunk size below 2^60. Leading zeros count.
const maxSizeDigits = 15

// parseChunkLine returns the size and how many bytes of the line it took; the rest is extensions.
func parseChunkLine(line []byte) (size int64, used int, err error) {
	for used < len(line) && class[line[used]]&isHex != 0 {
		if used == maxSizeDigits {
			return 0, 0, bad("chunk-size has more than %d digits", maxSizeDigits)
		}
		size = size<<4 | int64(hexValue(line[used]))
		used++
	}
	if used == 0 {
		return 0, 0, bad("chunk-size is not a hexadecimal number")
	}
	ext := line[used:]
	if len(ext) == 0 {
		return size, used, nil
	}
	for _, c := range ext {
		if class[c]&isValue == 0 {
			return 0, 0, bad("chunk extension holds a control character")
		}
	}
	if rest := bytes.TrimLeft(ext, " \t"); len(rest) == 0 || rest[0] != ';' {
		return 0, 0, bad("chunk-size is followed by something other than an extension")
	}
	return size, used, nil
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// trailers reads the trailer section behind the last chunk.
func (b *Body) trailers() error {
	for {
		p := b.rd.Peek()
		if len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
			b.rd.Skip(2)
			return nil
		}
		if len(p) > 0 && p[0] != '\r' {
			break
		}
		if len(p) > 1 {
			return bad("trailer section does not end in CRLF")
		}
		if err := b.fill(); err != nil {
			return err
		}
	}
	for {
		section, ok, err := b.rd.Head(maxTrailer)
		if err != nil {
			return bad("trailer section: %w", err)
		}
		if ok {
			return parseTrailer(section, b.trailer, maxFields)
		}
		if err := b.fill(); err != nil {
			return err
		}
	}
}
