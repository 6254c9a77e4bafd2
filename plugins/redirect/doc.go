// Package redirect is the filter redirect: it sends the client to another URL. Read target.go for
// what keeps a client from choosing that URL's host.
package redirect
