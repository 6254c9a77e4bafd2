// Package headers is the filter headers: it sets, adds, defaults and removes fields of the request
// and of the response. What one connection only knows, such as Content-Length, is not its to change.
package headers
