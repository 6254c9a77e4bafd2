// Package reference holds the reference of the configuration, a page for each section. The pages,
// and the README of each plugin, are made from the comments of the structs by
// go generate ./core/config; the test here fails when they are not fresh. There is no code but it.
package reference
