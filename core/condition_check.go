package core

import (
	"fmt"
	"net/netip"
	"reflect"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// checkedCondition is a condition whose names and types have been found right.
type checkedCondition struct {
	source      string
	tree        *parser.Tree
	config      *conf.Config
	vars        map[string]Var
	machineOnly bool
}

// checkCondition parses source and checks its names and types.
func checkCondition(source string) (*checkedCondition, error) {
	config := conf.CreateNew()
	expr.Function("cidr", cidrOnMachine, new(func(string, string, ...string) bool))(config)
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return nil, inWords(source, err)
	}
	names := nameVisitor{source: source, vars: make(map[string]Var), declared: make(map[string]bool)}
	ast.Walk(&tree.Node, &names)
	if err := names.resolve(); err != nil {
		return nil, err
	}
	config.WithEnv(zeroValues(names.vars))
	if _, err := checker.Check(tree, config); err != nil {
		return nil, inWords(source, err)
	}
	if err := mustBeBool(source, tree.Node); err != nil {
		return nil, err
	}
	return &checkedCondition{source: source, tree: tree, config: config, vars: names.vars}, nil
}

func mustBeBool(source string, node ast.Node) error {
	switch node.Type().Kind() {
	case reflect.Bool:
		return nil
	case reflect.Interface:
		return fmt.Errorf("%q may not be true or false: compare it, such as (%s) == true", source, source)
	case reflect.String:
		return fmt.Errorf("%q is text, neither true nor false: compare it, such as %s != \"\"", source, source)
	case reflect.Int, reflect.Float64:
		return fmt.Errorf("%q is a number, neither true nor false: compare it, such as %s > 0", source, source)
	}
	return fmt.Errorf("%q is neither true nor false: write a comparison", source)
}

// zeroValues is what expr's checker takes the types of the variables from.
func zeroValues(vars map[string]Var) map[string]any {
	env := make(map[string]any, len(vars))
	for name, v := range vars {
		switch v.Type() {
		case VarInteger:
			env[name] = 0
		case VarSeconds:
			env[name] = 0.0
		default:
			env[name] = ""
		}
	}
	return env
}

// nameVisitor collects the variables of an expression. It puts the variable itself in the place
// of var("name"). expr's Walk shows the children of a node before the node.
type nameVisitor struct {
	source   string
	vars     map[string]Var
	declared map[string]bool // names that let has made
	idents   []*ast.IdentifierNode
	err      error
}

func (n *nameVisitor) Visit(node *ast.Node) {
	switch at := (*node).(type) {
	case *ast.IdentifierNode:
		n.idents = append(n.idents, at)
	case *ast.VariableDeclaratorNode:
		n.declared[at.Name] = true
	case *ast.BinaryNode:
		n.refuseNil(at)
	case *ast.CallNode:
		n.call(node, at)
	}
}

func (n *nameVisitor) call(node *ast.Node, call *ast.CallNode) {
	callee, ok := call.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	switch callee.Value {
	case "var":
		n.varCall(node, call)
	case "cidr":
		n.checkPrefixes(call)
	}
}

func (n *nameVisitor) varCall(node *ast.Node, call *ast.CallNode) {
	var name *ast.StringNode
	if len(call.Arguments) == 1 {
		name, _ = call.Arguments[0].(*ast.StringNode)
	}
	if name == nil {
		n.fail(call, `var takes one name in quotes, such as var("http_x_user")`)
		return
	}
	v, ok := LookupVar(name.Value)
	if !ok {
		v = Var{def: &looseDef, arg: name.Value}
	}
	n.vars[name.Value] = v
	ast.Patch(node, &ast.IdentifierNode{Value: name.Value})
}

// looseDef reads names that only var() may use, because they cannot be checked.
var looseDef = varDef{family: looseVar}

func (n *nameVisitor) checkPrefixes(call *ast.CallNode) {
	if len(call.Arguments) < 2 {
		n.fail(call, `cidr takes an address and prefixes, such as cidr(remote_addr, "10.0.0.0/8")`)
		return
	}
	for _, arg := range call.Arguments[1:] {
		text, ok := arg.(*ast.StringNode)
		if !ok {
			n.fail(arg, `a prefix of cidr must stand there in quotes, such as "10.0.0.0/8"`)
			return
		}
		if _, err := parsePrefix(text.Value); err != nil {
			n.fail(arg, "%w", err)
			return
		}
	}
}

func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address prefix: write an address, '/' and bits, such as 10.0.0.0/8", s)
	}
	return prefix.Masked(), nil
}

// refuseNil refuses x == nil, which a reader takes for "unset" and which is never true.
func (n *nameVisitor) refuseNil(node *ast.BinaryNode) {
	if node.Operator != "==" && node.Operator != "!=" {
		return
	}
	for _, pair := range [][2]ast.Node{{node.Left, node.Right}, {node.Right, node.Left}} {
		_, isNil := pair[0].(*ast.NilNode)
		if name, ok := pair[1].(*ast.IdentifierNode); ok && isNil {
			n.fail(pair[0], `a variable is never nil: write %s %s ""`, name.Value, node.Operator)
		}
	}
}

// resolve finds the variables behind the names.
func (n *nameVisitor) resolve() error {
	for _, ident := range n.idents {
		name := ident.Value
		if n.declared[name] || name == "cidr" || name == "var" {
			continue
		}
		v, ok := LookupVar(name)
		if !ok {
			n.fail(ident, "%w", unknownVar(name, ""))
			break
		}
		n.vars[name] = v
	}
	return n.err
}

// fail notes the first error.
func (n *nameVisitor) fail(node ast.Node, format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("%s: "+format, append([]any{position(n.source, node.Location().From)}, args...)...)
	}
}
