// Package breaker is the filter breaker: when too much of what goes through it fails or is slow, it
// answers 503 breaker_open at once for a while, then lets a few probes through, and closes when
// they succeed.
//
// What is broken is the thing named by `by`. The result of an exchange is known when next returns:
// an error, the status and the time until the response head. A body that broke off later is
// counted when the exchange ends; a stream that is still open counts as neither a failure nor the
// end of a row of failures.
//
// By endpoint, the breaker steers rather than refuses, since the balancer picks below it: it puts
// the endpoints that are open into x.Tried, which the balancer avoids, and sets x.Endpoint when one
// of them is due for a probe. It answers 503 only when every endpoint is open.
//
// It is not ejection, which belongs to the upstream, looks at endpoints only and never refuses.
// Read config.go for what can be set, then breaker.go, then circuit.go.
package breaker
