// Package compress is the filter compress: it encodes response bodies with zstd, br or gzip, as
// the client accepts them, while they stream. What the endpoint sends at once reaches the client at
// once: nothing waits for a buffer to fill. It decodes nothing.
//
// Read compress.go for what is encoded, then stream.go for how.
package compress
