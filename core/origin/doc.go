// Package origin is a small HTTP server to stand behind a proxy: for a first try, for tests and
// for demonstrations of what retries and breakers do. It answers with a text, an echo of the
// request, a stream or gRPC, late or not at all if told so.
//
// It is built on net/http and shares nothing with the proxy's own front ends, so that a test with
// it never checks the proxy against itself. It is no web server: it serves no files.
//
// Read Config first.
package origin
