// Package upstream is a named set of endpoints: which one gets a request (balance), which may get
// one at all (health, eject, limits), and the sender that stands at the end of an upstream's
// chain. It speaks no HTTP; core/transport does.
//
// Three things have different lives. An Upstream and its Endpoints are one generation of the
// configuration and do not change. A peer is what is known of an address: its connections,
// latency, health and ejection; generations that have it with the same settings share it. A
// lineage is the generations of one name, and holds the lock for all that happens rarely.
//
// On the path of a request there are only atomics: a picker is compiled for the endpoints that
// may be used, and compiled anew when one of them changes its state.
//
// Read upstream.go first, then sender.go, snapshot.go and eject.go.
package upstream
