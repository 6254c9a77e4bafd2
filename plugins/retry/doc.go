// Package retry is the filter retry: it calls what stands below it in its list again when a try
// failed in a way that another may not, within a budget, and can hedge: send a second try while
// the first is still out.
//
// What stands below it runs once for each try, on the request as the try before left it, except for
// method, authority, path and query, which each try finds as they came to this filter.
//
// It picks no endpoint; it tells the upstream which ones were tried. It does not repeat what an
// upstream does by itself, such as replacing a pooled connection that had died.
//
// Read config.go for what can be set, then retry.go, then hedge.go.
package retry
