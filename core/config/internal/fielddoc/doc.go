// Package fielddoc collects the comments of configuration structs and their fields from Go
// sources. It parses only, so that a tree that does not compile at the moment is no obstacle.
package fielddoc
