package core

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// machine runs an expression that has no closure on expr's virtual machine.
type machine struct {
	source  string
	program *vm.Program
	vars    map[string]Var // only those that the program reads
	runs    sync.Pool      // of *machineRun
}

type machineRun struct {
	vm  vm.VM
	env map[string]any
}

func (c *checkedCondition) compileForMachine(node ast.Node) (test, error) {
	used := usedNames{all: c.vars, vars: make(map[string]Var)}
	ast.Walk(&node, &used)
	if err := optimizer.Optimize(&node, c.config); err != nil {
		return nil, inWords(c.source, err)
	}
	program, err := compiler.Compile(&parser.Tree{Node: node, Source: c.tree.Source}, c.config)
	if err != nil {
		return nil, inWords(c.source, err)
	}
	m := &machine{source: c.source, program: program, vars: used.vars}
	m.runs.New = func() any { return &machineRun{env: make(map[string]any, len(m.vars))} }
	return m.run, nil
}

type usedNames struct{ all, vars map[string]Var }

func (u *usedNames) Visit(node *ast.Node) {
	if ident, ok := (*node).(*ast.IdentifierNode); ok {
		if v, ok := u.all[ident.Value]; ok {
			u.vars[ident.Value] = v
		}
	}
}

func (m *machine) run(x *Exchange) (bool, error) {
	run := m.runs.Get().(*machineRun)
	defer m.runs.Put(run)
	for name, v := range m.vars {
		run.env[name] = v.native(x)
	}
	out, err := run.vm.Run(m.program, run.env)
	if err != nil {
		return false, inWords(m.source, err)
	}
	ok, isBool := out.(bool)
	if !isBool {
		return false, fmt.Errorf("%q is neither true nor false", m.source)
	}
	return ok, nil
}

// native returns the value as the type that zeroValues declares.
func (v Var) native(x *Exchange) any {
	switch v.Type() {
	case VarInteger:
		n, _ := v.def.integer(x)
		return int(n)
	case VarSeconds:
		return v.number(x)
	}
	text, _ := v.Get(x)
	return text
}

// cidrOnMachine is cidr for expressions without a closure. The prefixes were checked at load.
func cidrOnMachine(params ...any) (any, error) {
	addr := params[0].(string)
	for _, param := range params[1:] {
		prefix, err := parsePrefix(param.(string))
		if err != nil {
			return nil, err
		}
		if inPrefixes(addr, []netip.Prefix{prefix}) {
			return true, nil
		}
	}
	return false, nil
}
