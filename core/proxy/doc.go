// Package proxy is the data path: how the three scopes of filters, the route table and the
// upstreams are put together into the one handler that a listener calls. It reads top to bottom
// in the order in which a request meets it; datapath.go is all of it.
package proxy
