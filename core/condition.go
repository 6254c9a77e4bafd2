package core

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/file"
)

// Condition is an expression that is true or false of an exchange, in the language of
// expr-lang.org over the variables without '$':
//
//	request_method == "GET" && http_x_beta != ""
//	status >= 500 || request_time > 0.5
//	host matches "^api[.]" and not cidr(remote_addr, "10.0.0.0/8", "fd00::/8")
//	var("arg_page-size") in ["10", "20"]
//
// Integers and seconds are numbers, all else is text; an unset variable is 0 or "". Beside expr's
// own functions there are cidr(address, prefix, ...) and var(name), whose name is quoted and may
// be anything that Exchange.Var understands.
//
// It is compiled when the configuration loads. Comparisons, in, contains, startsWith, endsWith,
// matches, cidr and what joins them run as Go closures that allocate nothing; any other
// expression runs on expr's machine. The nil Condition is always true.
type Condition struct {
	source string
	test   test
}

// test is a compiled condition. Its error is one that only the values of an exchange bring about.
type test func(x *Exchange) (bool, error)

// ParseCondition compiles source. An error says the column and what to write.
func ParseCondition(source string) (*Condition, error) { return parseCondition(source, false) }

// parseCondition leaves everything to expr's machine when machineOnly.
func parseCondition(source string, machineOnly bool) (*Condition, error) {
	checked, err := checkCondition(source)
	if err != nil {
		return nil, err
	}
	checked.machineOnly = machineOnly
	t, err := checked.compile(checked.tree.Node)
	if err != nil {
		return nil, err
	}
	return &Condition{source: source, test: t}, nil
}

// UnmarshalText compiles the condition from the configuration.
func (c *Condition) UnmarshalText(text []byte) error {
	parsed, err := ParseCondition(string(text))
	if err != nil {
		return err
	}
	*c = *parsed
	return nil
}

// String returns the source.
func (c *Condition) String() string {
	if c == nil {
		return ""
	}
	return c.source
}

// Eval reports whether x meets the condition. Only what runs on expr's machine can fail, such as
// int(arg_page) when the argument is no number.
func (c *Condition) Eval(x *Exchange) (bool, error) {
	if c == nil || c.test == nil {
		return true, nil
	}
	return c.test(x)
}

// Match is Eval for those to whom a failed evaluation is no match; it is logged. Where no match
// lets something pass, as with a filter's when, Eval is due.
func (c *Condition) Match(x *Exchange) bool {
	ok, err := c.Eval(x)
	if err != nil {
		x.Log().Warn("condition could not be evaluated", "condition", c.source, "error", err)
	}
	return ok
}

// position says where the rune at offset stands in source.
func position(source string, offset int) string {
	line, column := 1, 1
	for _, r := range source {
		if offset--; offset < 0 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	if line == 1 {
		return fmt.Sprintf("column %d", column)
	}
	return fmt.Sprintf("line %d, column %d", line, column)
}

// plainTypes are expr's names of types in words of the configuration.
var plainTypes = strings.NewReplacer(
	"map[string]interface {}", "map", "[]interface {}", "list", "[]string", "list", "interface {}", "value")

var (
	numberType = regexp.MustCompile(`\b(float64|int)\b`)
	mismatch   = regexp.MustCompile(`mismatched types (string and number|number and string)`)
)

// inWords makes an error of expr's one of ours: position first, no snippet, no Go types.
func inWords(source string, err error) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return err
	}
	message := numberType.ReplaceAllString(plainTypes.Replace(e.Message), "number")
	if mismatch.MatchString(message) {
		message += ": text stands in quotes, a number does not"
	}
	return fmt.Errorf("%s: %s", position(source, e.From), message)
}
