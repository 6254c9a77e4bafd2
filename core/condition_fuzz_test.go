package core_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

// generator writes random conditions.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) condition(depth int) string {
	if depth > 0 && g.IntN(3) > 0 {
		switch g.IntN(6) {
		case 0:
			return g.pick("!", "not ") + "(" + g.condition(depth-1) + ")"
		case 1:
			return fmt.Sprintf("(%s) == %s", g.condition(depth-1), g.pick("true", "false"))
		case 2:
			return fmt.Sprintf("(%s ? %s : %s)", g.condition(depth-1), g.condition(depth-1), g.condition(depth-1))
		}
		return fmt.Sprintf("(%s) %s (%s)", g.condition(depth-1), g.pick("&&", "||", "and", "or"), g.condition(depth-1))
	}
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("%s %s %s", g.number(), g.pick("==", "!=", "<", "<=", ">", ">="), g.number())
	case 1:
		return fmt.Sprintf("%s %s [%s]", g.number(), g.pick("in", "not in"), g.list(g.numberLiteral))
	case 2:
		return fmt.Sprintf("%s in %d..%d", g.pick("status", "attempts", "server_port"), g.IntN(600), g.IntN(600))
	case 3:
		return fmt.Sprintf("%s %s [%s]", g.text(), g.pick("in", "not in"), g.list(g.textLiteral))
	case 4:
		return fmt.Sprintf("cidr(%s, %s)", g.text(), g.list(func() string { return g.pick(`"10.0.0.0/8"`, `"::/0"`, `"0.0.0.0/0"`, `"1.2.3.4/32"`) }))
	case 5:
		return fmt.Sprintf("%s matches %s", g.text(), g.pick(`"^a"`, `"a.*b$"`, `""`, `"[0-9]+"`))
	case 6:
		return g.pick("true", "false")
	}
	op := g.pick("==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith")
	return fmt.Sprintf("%s %s %s", g.text(), op, g.text())
}

func (g generator) list(item func() string) string {
	items := make([]string, 1+g.IntN(12))
	for i := range items {
		items[i] = item()
	}
	return strings.Join(items, ", ")
}

func (g generator) numberLiteral() string {
	return g.pick("0", "1", "-1", "200", "503", "0.5", "-2.5", "503.0", strconv.Itoa(g.IntN(600)), "9007199254740993")
}

func (g generator) number() string {
	return g.pick(g.numberLiteral(), "status", "attempts", "content_length", "server_port", "bytes_sent", `var("status")`, "status % 7", "-status")
}

func (g generator) textLiteral() string {
	return g.pick(`""`, `"a"`, `"ab"`, `"b"`, `"10.0.0.1"`, `"é"`, `"200"`)
}

func (g generator) text() string {
	return g.pick(g.textLiteral(), "http_x_a", "arg_a", "cookie_a", "remote_addr", "route", "var_a", `var("a")`, `var("free")`,
		"upstream_status", "lower(http_x_a)", "http_x_a + arg_a")
}

func (g generator) exchange(t testing.TB) *core.Exchange {
	values := []string{"", "a", "ab", "b", "A", "10.0.0.1", "1.2.3.4", "::1", "é"}
	value := func() string { return values[g.IntN(len(values))] }
	x := get(t, "/?a="+core.EscapePath(value()), "X-A", value(), "Cookie", "a="+value())
	x.Client.Addr = value()
	x.Response.Status = []int{0, 200, 404, 503}[g.IntN(4)]
	x.BytesOut = int64(g.IntN(600))
	x.SetVar("a", value())
	x.SetVar("free", value())
	x.Attempts = make([]core.Attempt, g.IntN(3))
	return x
}

// agree compiles a random condition both ways and compares them on random exchanges.
func agree(t *testing.T, seed uint64) {
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	source := g.condition(3)
	compiled, err := core.ParseCondition(source)
	onMachine, machineErr := core.ParseConditionOnMachine(source)
	if (err == nil) != (machineErr == nil) {
		t.Fatalf("%s: compiled %v, on the machine %v", source, err, machineErr)
	}
	if err != nil {
		return
	}
	for range 8 {
		x := g.exchange(t)
		got, err := compiled.Eval(x)
		due, dueErr := onMachine.Eval(x)
		if got != due || (err == nil) != (dueErr == nil) {
			t.Fatalf("%s (seed %d): compiled %v %v, the machine says %v %v", source, seed, got, err, due, dueErr)
		}
	}
}

func TestCompiledConditionsAgreeWithTheMachine(t *testing.T) {
	for seed := range uint64(1500) {
		agree(t, seed)
	}
}

func FuzzCompiledConditionsAgreeWithTheMachine(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(agree)
}

func FuzzParseConditionNeverPanics(f *testing.F) {
	for _, seed := range append([]string{`var("a`, `let x = 1; x`, `cidr()`, `#`, `a?.b`}, commonConditions...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if c, err := core.ParseCondition(source); err == nil {
			c.Eval(get(t, "/"))
		}
	})
}
