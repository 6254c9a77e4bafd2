// Sluice is a programmable HTTP proxy; this is its command line. It holds no logic of its own:
// each command is a file, and what it does stands in core. A build with other filters copies this
// folder and changes plugins.go.
//
// Read main.go first.
package main
