// Package respond is the filter respond: it answers by itself, with a status, fields and a body that
// the configuration holds. Nothing below it in the chain runs. It is no file server.
package respond
