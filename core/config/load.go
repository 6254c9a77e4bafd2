package config

import (
	"os"
	"path/filepath"
	"reflect"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/config/decode"
	"github.com/sluiceproxy/sluice/core/route"
	"github.com/sluiceproxy/sluice/core/server"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// Load reads a configuration and the files it includes, and checks all that can be checked without
// opening sockets or building filters. The error is an Errors with every mistake.
func Load(name string) (*File, error) {
	f, errs := load(name)
	if len(errs) > 0 {
		return nil, errs
	}
	return f, nil
}

// load returns a File even when there are errors, for its inputs.
func load(name string) (*File, Errors) {
	l := &loader{file: &File{name: name, dir: filepath.Dir(name), inputs: inputs{main: name}}}
	root := l.read()
	if root == nil {
		return l.file, l.errs
	}
	l.decode(root)
	if len(l.errs) == 0 {
		l.check(root)
	} else if root.Kind == decode.Map {
		l.checkRoutes(root) // a name of what does not exist is wrong whatever else is
	}
	l.errs.Sort()
	return l.file, l.errs
}

type loader struct {
	file *File
	errs Errors
}

func (l *loader) fail(pos decode.Pos, path *decode.Path, msg string) {
	l.errs = append(l.errs, &Error{Pos: pos, Path: path.String(), Msg: msg})
}

// read returns the main file with those it includes merged in, nil when it cannot be read.
func (l *loader) read() *decode.Node {
	in := &l.file.inputs
	root := l.parse(in.read()[0])
	if root == nil || root.Kind != decode.Map {
		return root
	}
	include := root.Field("include")
	if include == nil {
		return root
	}
	l.patterns(include)
	sources := in.read()
	if main := l.parse(sources[0]); main != nil {
		root = main // it may have changed since, and what is used is what was digested
	}
	for _, s := range sources[1:] {
		l.merge(root, l.parse(s))
	}
	return root
}

func (l *loader) parse(s source) *decode.Node {
	if s.err != nil {
		l.fail(decode.Pos{File: s.name}, nil, s.err.Error())
		return nil
	}
	n, errs := decode.Parse(s.name, s.text, os.LookupEnv)
	l.errs = append(l.errs, errs...)
	return n
}

func (l *loader) decode(root *decode.Node) {
	fl := newFilterLoader(root.Get("filters"))
	d := &decode.Decoder{Errors: l.errs, Special: map[reflect.Type]decode.Func{
		reflect.TypeFor[core.FilterList]():            fl.list,
		reflect.TypeFor[map[string]core.FilterList](): fl.all,
		reflect.TypeFor[server.ListenerConfig]():      fl.within(core.ScopeListener),
		reflect.TypeFor[route.Config]():               fl.within(core.ScopeRoute),
		reflect.TypeFor[upstream.Config]():            fl.within(core.ScopeUpstream),
	}}
	d.Decode(root, nil, l.file)
	l.errs = d.Errors
	l.file.Warnings = fl.unused()
}
