// Package bodylimit is the filter body_limit: it refuses request and response bodies above a
// size, at once where the length is told, else while they stream. It buffers nothing.
package bodylimit
