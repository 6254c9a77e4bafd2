// Package cors is the filter cors: it tells browsers which other origins may read the responses,
// by the CORS protocol of the Fetch standard (fetch.spec.whatwg.org, 3.3), and answers preflight
// requests itself. It keeps nobody from sending requests: that is no access control.
package cors
