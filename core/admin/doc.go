// Package admin serves the admin address: metrics, readiness, the state of routes and upstreams,
// and reload. It is cold: it asks the running proxy when it is asked, and nothing on the request
// path knows it. It has no login; who may reach its address may reload, so it belongs on loopback
// or a network of its own.
//
// Read server.go first.
package admin
