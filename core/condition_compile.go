package core

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// compile turns a boolean node into a closure, or into a program of expr's machine when it is no
// shape known here. The parts of a known shape are compiled alone, so that a cheap test before
// && spares the machine.
func (c *checkedCondition) compile(node ast.Node) (test, error) {
	if !c.machineOnly {
		switch n := node.(type) {
		case *ast.BoolNode:
			value := n.Value
			return func(*Exchange) (bool, error) { return value, nil }, nil
		case *ast.UnaryNode:
			if n.Operator == "!" || n.Operator == "not" {
				return c.compileNot(n)
			}
		case *ast.BinaryNode:
			if isJunction(n.Operator) {
				return c.compileJunction(n)
			}
			if t := c.compileComparison(n); t != nil {
				return t, nil
			}
		case *ast.CallNode:
			if t := c.compileCIDR(n); t != nil {
				return t, nil
			}
		}
	}
	return c.compileForMachine(node)
}

func (c *checkedCondition) compileNot(n *ast.UnaryNode) (test, error) {
	inner, err := c.compile(n.Node)
	if err != nil {
		return nil, err
	}
	return func(x *Exchange) (bool, error) {
		ok, err := inner(x)
		return !ok && err == nil, err
	}, nil
}

func isJunction(op string) bool {
	return op == "&&" || op == "and" || op == "||" || op == "or"
}

func (c *checkedCondition) compileJunction(n *ast.BinaryNode) (test, error) {
	left, err := c.compile(n.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.compile(n.Right)
	if err != nil {
		return nil, err
	}
	decides := n.Operator == "||" || n.Operator == "or" // the left value that needs no right one
	return func(x *Exchange) (bool, error) {
		ok, err := left(x)
		if err != nil || ok == decides {
			return ok, err
		}
		return right(x)
	}, nil
}

// compileComparison returns nil when the node's shape is not known here.
func (c *checkedCondition) compileComparison(n *ast.BinaryNode) test {
	left, ok := c.operand(n.Left)
	if !ok {
		return nil
	}
	if n.Operator == "in" {
		return c.compileIn(left, n.Right)
	}
	right, ok := c.operand(n.Right)
	if !ok || left.number != right.number {
		return nil
	}
	if left.number {
		return compareNumbers(n.Operator, left, right)
	}
	if n.Operator == "matches" {
		return compileMatches(left, right)
	}
	return compareTexts(n.Operator, left, right)
}

func compareTexts(op string, l, r operand) test {
	switch op {
	case "==":
		return func(x *Exchange) (bool, error) { return l.text(x) == r.text(x), nil }
	case "!=":
		return func(x *Exchange) (bool, error) { return l.text(x) != r.text(x), nil }
	case "<":
		return func(x *Exchange) (bool, error) { return l.text(x) < r.text(x), nil }
	case "<=":
		return func(x *Exchange) (bool, error) { return l.text(x) <= r.text(x), nil }
	case ">":
		return func(x *Exchange) (bool, error) { return l.text(x) > r.text(x), nil }
	case ">=":
		return func(x *Exchange) (bool, error) { return l.text(x) >= r.text(x), nil }
	case "contains":
		return func(x *Exchange) (bool, error) { return strings.Contains(l.text(x), r.text(x)), nil }
	case "startsWith":
		return func(x *Exchange) (bool, error) { return strings.HasPrefix(l.text(x), r.text(x)), nil }
	case "endsWith":
		return func(x *Exchange) (bool, error) { return strings.HasSuffix(l.text(x), r.text(x)), nil }
	}
	return nil
}

func compareNumbers(op string, l, r operand) test {
	switch op {
	case "==":
		return func(x *Exchange) (bool, error) { return l.value(x) == r.value(x), nil }
	case "!=":
		return func(x *Exchange) (bool, error) { return l.value(x) != r.value(x), nil }
	case "<":
		return func(x *Exchange) (bool, error) { return l.value(x) < r.value(x), nil }
	case "<=":
		return func(x *Exchange) (bool, error) { return l.value(x) <= r.value(x), nil }
	case ">":
		return func(x *Exchange) (bool, error) { return l.value(x) > r.value(x), nil }
	case ">=":
		return func(x *Exchange) (bool, error) { return l.value(x) >= r.value(x), nil }
	}
	return nil
}

// compileMatches needs a literal pattern; the checker has seen that it is a valid one.
func compileMatches(l, r operand) test {
	if r.v.def != nil {
		return nil
	}
	re, err := regexp.Compile(r.literal)
	if err != nil {
		return nil
	}
	return func(x *Exchange) (bool, error) { return re.MatchString(l.text(x)), nil }
}

func (c *checkedCondition) compileIn(l operand, set ast.Node) test {
	if between, ok := set.(*ast.BinaryNode); ok && between.Operator == ".." {
		return c.compileRange(l, between)
	}
	list, ok := set.(*ast.ArrayNode)
	if !ok {
		return nil
	}
	var texts []string
	var numbers []float64
	for _, node := range list.Nodes {
		item, ok := c.operand(node)
		if !ok || item.v.def != nil || item.number != l.number {
			return nil
		}
		texts = append(texts, item.literal)
		numbers = append(numbers, item.constant)
	}
	switch {
	case l.number:
		return func(x *Exchange) (bool, error) { return slices.Contains(numbers, l.value(x)), nil }
	case len(texts) > manyTexts:
		return inSet(l, texts)
	}
	return func(x *Exchange) (bool, error) { return slices.Contains(texts, l.text(x)), nil }
}

// manyTexts is from where on a map beats comparing one by one.
const manyTexts = 8

func inSet(l operand, texts []string) test {
	set := make(map[string]struct{}, len(texts))
	for _, text := range texts {
		set[text] = struct{}{}
	}
	return func(x *Exchange) (bool, error) {
		_, ok := set[l.text(x)]
		return ok, nil
	}
}

// compileRange compiles in A..B, which holds the integers from A to B.
func (c *checkedCondition) compileRange(l operand, between *ast.BinaryNode) test {
	low, okLow := c.operand(between.Left)
	high, okHigh := c.operand(between.Right)
	if !okLow || !okHigh || low.v.def != nil || high.v.def != nil || l.v.Type() != VarInteger {
		return nil
	}
	return func(x *Exchange) (bool, error) {
		value := l.value(x)
		return low.constant <= value && value <= high.constant, nil
	}
}

func (c *checkedCondition) compileCIDR(n *ast.CallNode) test {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || callee.Value != "cidr" || len(n.Arguments) < 2 {
		return nil
	}
	addr, ok := c.operand(n.Arguments[0])
	if !ok || addr.number {
		return nil
	}
	var prefixes []netip.Prefix
	for _, arg := range n.Arguments[1:] {
		item, ok := c.operand(arg)
		if !ok || item.v.def != nil {
			return nil
		}
		prefix, err := parsePrefix(item.literal)
		if err != nil {
			return nil
		}
		prefixes = append(prefixes, prefix)
	}
	return func(x *Exchange) (bool, error) { return inPrefixes(addr.text(x), prefixes), nil }
}

// inPrefixes reports whether addr is an address in one of prefixes. An IPv4 address is the same
// in its IPv6 spelling.
func inPrefixes(addr string, prefixes []netip.Prefix) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	for _, prefix := range prefixes {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// operand is a variable or a literal: text, or a number. Numbers are compared as float64, which
// is exact to 2^53.
type operand struct {
	v        Var // zero for a literal
	literal  string
	constant float64
	number   bool
}

// operand reads a node that is a variable or a literal.
func (c *checkedCondition) operand(node ast.Node) (operand, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return operand{literal: n.Value}, true
	case *ast.IntegerNode:
		return operand{constant: float64(n.Value), number: true}, -1<<53 < n.Value && n.Value < 1<<53
	case *ast.FloatNode:
		return operand{constant: n.Value, number: true}, true
	case *ast.UnaryNode:
		o, ok := c.operand(n.Node)
		o.constant = -o.constant
		return o, ok && n.Operator == "-" && o.number && o.v.def == nil
	case *ast.IdentifierNode:
		v, ok := c.vars[n.Value]
		return operand{v: v, number: v.Type() != VarText}, ok
	}
	return operand{}, false
}

func (o *operand) text(x *Exchange) string {
	if o.v.def == nil {
		return o.literal
	}
	text, _ := o.v.Get(x)
	return text
}

func (o *operand) value(x *Exchange) float64 {
	if o.v.def == nil {
		return o.constant
	}
	return o.v.number(x)
}
