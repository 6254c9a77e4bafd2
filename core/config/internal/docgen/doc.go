// Docgen writes core/config/fielddocs.json: the comments of configuration structs, from which the
// schema and the reference are made. Run it with go generate ./core/config.
package main
