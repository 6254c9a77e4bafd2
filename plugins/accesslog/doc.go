// Package accesslog is the filter access_log: it writes a line for every exchange when it has
// ended. Lines are gathered in memory and written by one goroutine for each file, so no request
// waits for a disk; when the file cannot keep up, lines are dropped and counted.
//
// Read accesslog.go for the filter and format.go for the lines, then sink.go for how they get to
// the file.
package accesslog
