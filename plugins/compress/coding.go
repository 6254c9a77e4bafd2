package compress

import (
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoder is what the three libraries have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// coding is a content coding at a level, with a pool of its workers: an encoder is much larger than
// what it encodes.
type coding struct {
	name    string
	alias   string // RFC 9110 8.4.1.3: x-gzip is gzip
	workers sync.Pool
}

// The windows bound the memory of a response that is being encoded. Half a megabyte finds nearly
// all that repeats in a page.
const (
	zstdWindow   = 512 << 10
	brotliWindow = 18 // bits
)

func newCoding(name string, levels Levels) (*coding, error) {
	c := &coding{name: name}
	var build func() encoder
	switch name {
	case "gzip":
		c.alias = "x-gzip"
		build = func() encoder {
			w, _ := gzip.NewWriterLevel(nil, levels.Gzip) // Validate has checked the level
			return w
		}
	case "br":
		build = func() encoder {
			return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: levels.Brotli, LGWin: brotliWindow})
		}
	case "zstd":
		options := []zstd.EOption{
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(levels.Zstd)), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true),
		}
		if _, err := zstd.NewWriter(nil, options...); err != nil {
			return nil, err
		}
		build = func() encoder {
			w, _ := zstd.NewWriter(nil, options...)
			return w
		}
	default:
		return nil, fmt.Errorf("encodings: %q is unknown: write zstd, br or gzip", name)
	}
	c.workers.New = func() any { return &worker{enc: build()} }
	return c, nil
}
