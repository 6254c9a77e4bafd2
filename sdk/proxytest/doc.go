// Package proxytest runs a real proxy on loopback for tests, those of plugins above all:
//
//	import _ "example.com/my/plugin"
//
//	func TestTheAnswerIsTagged(t *testing.T) {
//		origin := proxytest.Origin(t, http.HandlerFunc(hello))
//		p := proxytest.Start(t, `
//	listeners: {web: "127.0.0.1:0"}
//	routes: [{name: all, filters: [my_filter], to: app}]
//	upstreams: {app: {endpoints: `+origin+`}}`)
//		resp, err := http.Get(p.URL("web"))
//		...
//	}
//
// A test links the filters it uses with blank imports: this package links none. When the test ends
// the proxy is closed, and a goroutine of it that is left over fails the test.
//
// Read proxytest.go first.
package proxytest
