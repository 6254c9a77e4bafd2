// Package requestid is the filter request_id: it gives every request an id, takes over the
// client's where that is trusted, and sends it to the endpoint and back to the client.
package requestid
