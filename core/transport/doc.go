// Package transport sends an exchange to one endpoint: it keeps the endpoint's connections, writes
// the request, reads the response head, and hands over the body as a stream. It picks no endpoint
// and retries nothing but a kept connection that turned out to be closed; core/upstream and the
// filters do that. Read pool.go, then send.go.
package transport
