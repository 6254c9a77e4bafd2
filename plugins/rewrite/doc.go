// Package rewrite is the filter rewrite: it changes path and query of the request that goes on, for
// what stands below it and for the endpoint, and can have the request routed anew. The client does
// not see it: what sends the client elsewhere is redirect.
package rewrite
