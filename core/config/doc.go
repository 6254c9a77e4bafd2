// Package config turns a YAML file into a running proxy and keeps it up to date with the file.
// The structs that YAML is decoded into belong to the packages that use them (core/server,
// core/route, core/upstream, plugins/*); what is here is what they have in common.
//
// A file is loaded (load.go: files, includes, environment; filters.go: filter lists; check.go:
// references between sections), built into a Generation (build.go, state.go) and run by a Proxy
// (proxy.go, watch.go). schema.go and reference.go describe the same structs to editors and people.
//
// An environment variable stands as ${NAME} or ${NAME:-default} in any value, not in keys, and is
// put in after the YAML was read, so that it cannot change the structure. Its name is upper case
// and begins with a letter or '_'. Everything else after a dollar is a template's: $host, ${host},
// and ${1} in a rewrite. "$$" keeps what follows it from being a variable.
//
// Read file.go first.
package config
