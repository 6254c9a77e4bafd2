// Package metrics counts what the proxy does and writes it in Prometheus' text format.
//
// Everything that is counted on the request path is resolved when the configuration loads: a route
// holds its *RouteStats, an endpoint its *EndpointStats, and counting is a few atomic additions on
// a shard that the client's connection chooses. There is no map, no lock and no allocation per
// request, and no label value ever comes from a client.
//
// It is no general metrics library, and it serves nothing: core/admin does. Read registry.go first.
package metrics
