package core

import (
	"fmt"
	"strconv"
	"strings"
)

// VarType is what a variable is in a condition. In a template every variable is text.
type VarType uint8

// The types.
const (
	VarText    VarType = iota // "" when unset
	VarInteger                // 0 when unset
	VarSeconds                // seconds with milliseconds, 0 when unset
)

func (t VarType) String() string { return [...]string{"text", "integer", "seconds"}[t] }

// VarInfo is what the reference says of a variable.
type VarInfo struct {
	Name     string // ends in NAME for a family, such as arg_NAME
	Type     VarType
	Settable bool // by Exchange.SetVariable
	Doc      string
}

// Var is one variable, looked up when the configuration loads. The zero Var is always unset.
type Var struct {
	def *varDef
	arg string // what follows the prefix of a family
}

// varDef defines a variable, or the family of all that begin with name when it ends in '_'.
// Exactly one of text, family, integer, millis and compose is set and says how it is read.
type varDef struct {
	name string
	doc  string

	text    func(x *Exchange) (string, bool)
	family  func(x *Exchange, arg string) (string, bool)
	integer func(x *Exchange) (int64, bool)
	millis  func(x *Exchange) (int64, bool)
	compose func(dst []byte, x *Exchange) []byte // appends nothing when unset

	set func(x *Exchange, arg, value string) error // nil: read only
}

var varGroups = [][]varDef{requestVars, clientVars, tlsVars, responseVars, upstreamVars, proxyVars}

var varByName, varFamilies = indexVars(varGroups)

func indexVars(groups [][]varDef) (map[string]*varDef, []*varDef) {
	byName := make(map[string]*varDef)
	var families []*varDef
	for _, group := range groups {
		for i := range group {
			def := &group[i]
			if def.family != nil {
				families = append(families, def)
				continue
			}
			byName[def.name] = def
		}
	}
	return byName, families
}

// LookupVar finds a variable by its name without '$': one of the fixed names, or one of a family
// such as arg_id. Variables that a filter sets are var_NAME and captures of the route's path are
// path_NAME, because no other name can be checked when the configuration loads.
func LookupVar(name string) (Var, bool) {
	if def, ok := varByName[name]; ok {
		return Var{def: def}, true
	}
	for _, def := range varFamilies {
		if arg, ok := strings.CutPrefix(name, def.name); ok && arg != "" {
			return Var{def: def, arg: arg}, true
		}
	}
	return Var{}, false
}

// Variables returns every variable and family, in the reference's order.
func Variables() []VarInfo {
	var out []VarInfo
	for _, group := range varGroups {
		for i := range group {
			def := &group[i]
			info := VarInfo{Name: def.name, Type: Var{def: def}.Type(), Settable: def.set != nil, Doc: def.doc}
			if def.family != nil {
				info.Name += "NAME"
			}
			out = append(out, info)
		}
	}
	return out
}

// Type returns what the variable is in a condition.
func (v Var) Type() VarType {
	switch {
	case v.def == nil:
		return VarText
	case v.def.integer != nil:
		return VarInteger
	case v.def.millis != nil:
		return VarSeconds
	}
	return VarText
}

// Get returns the value and whether the variable is set. It allocates only for values that are
// not text to begin with (numbers, lists): Append does not.
func (v Var) Get(x *Exchange) (string, bool) {
	switch def := v.def; {
	case def == nil:
		return "", false
	case def.text != nil:
		return def.text(x)
	case def.family != nil:
		return def.family(x, v.arg)
	case def.integer != nil:
		n, ok := def.integer(x)
		if !ok {
			return "", false
		}
		return strconv.FormatInt(n, 10), true
	}
	out := v.Append(nil, x)
	return string(out), len(out) > 0
}

// Append appends the value, nothing when the variable is unset.
func (v Var) Append(dst []byte, x *Exchange) []byte {
	switch def := v.def; {
	case def == nil:
		return dst
	case def.compose != nil:
		return def.compose(dst, x)
	case def.integer != nil:
		if n, ok := def.integer(x); ok {
			return strconv.AppendInt(dst, n, 10)
		}
		return dst
	case def.millis != nil:
		if ms, ok := def.millis(x); ok {
			return appendMillis(dst, ms)
		}
		return dst
	}
	text, _ := v.Get(x)
	return append(dst, text...)
}

// Set changes the variable. It fails when the variable is read only or the value is not valid
// for it.
func (v Var) Set(x *Exchange, value string) error {
	if v.def == nil || v.def.set == nil {
		return fmt.Errorf("variable $%s is read only", v.name())
	}
	if err := v.def.set(x, v.arg, value); err != nil {
		return fmt.Errorf("variable $%s: %w", v.name(), err)
	}
	return nil
}

func (v Var) name() string {
	if v.def == nil {
		return ""
	}
	return v.def.name + v.arg
}

// number returns the value of a variable whose type is not VarText, 0 when it is unset.
func (v Var) number(x *Exchange) float64 {
	if v.def.millis != nil {
		ms, _ := v.def.millis(x)
		return float64(ms) / 1000
	}
	n, _ := v.def.integer(x)
	return float64(n)
}

// appendMillis appends ms as seconds with three decimals, as nginx writes its times.
func appendMillis(dst []byte, ms int64) []byte {
	if ms < 0 {
		ms = 0
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	frac := ms % 1000
	return append(dst, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
}

// Var returns the value of the variable called name, for runtimes whose names are known only now.
// Beside what LookupVar finds, the plain name of a variable that a filter has set, and then of a
// capture, will do.
func (x *Exchange) Var(name string) (string, bool) {
	if v, ok := LookupVar(name); ok {
		return v.Get(x)
	}
	return looseVar(x, name)
}

func looseVar(x *Exchange, name string) (string, bool) {
	if value, ok := x.userVar(name); ok {
		return value, true
	}
	return x.capture(name)
}

func (x *Exchange) capture(name string) (string, bool) {
	for i := range x.Captures {
		if x.Captures[i].Name == name {
			return x.Captures[i].Value, true
		}
	}
	return "", false
}

// SetVariable sets the variable called name: one of those that Variables calls settable, or, for
// any name that is not a variable's, one of the exchange's own, as SetVar does.
func (x *Exchange) SetVariable(name, value string) error {
	if v, ok := LookupVar(name); ok {
		return v.Set(x, value)
	}
	x.SetVar(name, value)
	return nil
}
