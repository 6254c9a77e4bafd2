// Package decode reads YAML into configuration structs, strictly: every unknown key, wrong type
// and bad unit is an error with its place, its path and, where one is near, the name that was
// meant; and all of them are found in one go. It knows the conventions of the structs (tags yaml
// and enum, core.Defaulter, core.Validator, encoding.TextUnmarshaler), not what they are for:
// core/config does.
//
// Read node.go first, then parse.go (text to nodes) and decode.go (nodes to structs).
package decode
