package core_test

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func condition(t testing.TB, source string) *core.Condition {
	t.Helper()
	c, err := core.ParseCondition(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return c
}

// answered returns an exchange with something in most variables.
func answered(t testing.TB) *core.Exchange {
	x := get(t, "/shop/items%20x?page=2&empty=", "X-Beta", "on", "Cookie", "sid=abc")
	x.Route = &core.Route{Name: "shop"}
	x.Response.Status = 503
	x.Captures = append(x.Captures, core.Capture{Name: "id", Value: "42"})
	x.SetVar("tier", "gold")
	return x
}

func TestConditions(t *testing.T) {
	x := answered(t)
	for source, due := range map[string]bool{
		`true`: true, `false`: false,
		`request_method == "GET"`:                                true,
		`request_method != "GET"`:                                false,
		`request_method == "GET" && http_x_beta != ""`:           true,
		`request_method == "GET" and http_x_gone != ""`:          false,
		`http_x_gone == "" or http_x_gone == "x"`:                true,
		`!(status >= 500)`:                                       false,
		`not (status >= 500)`:                                    false,
		`status >= 500`:                                          true,
		`status == 503.0`:                                        true,
		`status > 502.5 && status < 503.5`:                       true,
		`500 <= status and status <= 599`:                        true,
		`status in 500..599`:                                     true,
		`status not in 500..599`:                                 false,
		`status in [500, 503]`:                                   true,
		`status in [-503]`:                                       false,
		`-503 == status`:                                         false,
		`content_length > 0`:                                     false,
		`request_time < 3600`:                                    true,
		`msec > 1e9`:                                             true,
		`server_port == 8080`:                                    true,
		`remote_addr in ["10.0.0.1", "10.1.2.3"]`:                true,
		`remote_addr not in ["10.0.0.1"]`:                        true,
		`cookie_sid in ["a","b","c","d","e","f","g","h","abc"]`:  true,
		`cookie_sid in ["a","b","c","d","e","f","g","h","abcd"]`: false,
		`host in []`:                                             false,
		`host matches "^shop[.]"`:                                true,
		`host matches "^a"`:                                      false,
		`not (host matches "^a")`:                                true,
		`uri contains "items x"`:                                 true,
		`uri startsWith "/shop/"`:                                true,
		`uri endsWith "/"`:                                       false,
		`"shop" < host`:                                          true,
		`cidr(remote_addr, "10.0.0.0/8")`:                        true,
		`cidr(remote_addr, "192.0.2.0/24", "10.1.0.0/16")`:       true,
		`cidr(remote_addr, "fd00::/8")`:                          false,
		`cidr("::ffff:10.0.0.1", "10.0.0.0/8")`:                  true,
		`cidr(host, "10.0.0.0/8")`:                               false,
		`var("tier") == "gold"`:                                  true,
		`var_tier == "gold"`:                                     true,
		`var("id") == "42" && path_id == "42"`:                   true,
		`var("nobody_set_this") == ""`:                           true,
		`var("arg_page") == "2" && var("status") == 503`:         true,
		`route == "shop"`:                                        true,
		`len(arg_page) == 1`:                                     true,
		`int(arg_page) > 1`:                                      true,
		`lower(http_x_beta) == "on"`:                             true,
		`status / 100 == 5.03`:                                   true,
		`status % 100 == 3`:                                      true,
		`let m = request_method; m == "GET"`:                     true,
		`any(split(uri, "/"), # == "shop")`:                      true,
		`(status > 500 ? "a" : "b") == "a"`:                      true,
		`cidr(lower(remote_addr), "10.0.0.0/8")`:                 true,
		`(status > 500) == true`:                                 true,
		`100 < status < 600`:                                     true,
		"request_method == \"GET\"\n  && status >= 500":          true,
		`false && int(http_x_beta) == 1`:                         false,
		`true || int(http_x_beta) == 1`:                          true,
		`upstream_addr == "" && error == "" && attempts==0`:      true,
	} {
		for name, parse := range map[string]func(string) (*core.Condition, error){
			"compiled": core.ParseCondition, "on the machine": core.ParseConditionOnMachine,
		} {
			c, err := parse(source)
			if err != nil {
				t.Errorf("%s: %v", source, err)
				continue
			}
			if got, err := c.Eval(x); got != due || err != nil {
				t.Errorf("%s %s: %v %v, due %v", source, name, got, err, due)
			}
			if c.String() != source {
				t.Errorf("%s: prints as %q", source, c.String())
			}
		}
	}
}

func TestWrongConditionsSayWhereAndWhat(t *testing.T) {
	for source, due := range map[string]string{
		`request_methd == "GET"`:         `column 1: unknown variable request_methd: did you mean request_method?`,
		`status >= 500 && htp_x_a == ""`: `column 18: unknown variable htp_x_a: did you mean http_x_a?`,
		`zzz == "1"`:                     `column 1: unknown variable zzz: a capture of the route's path is path_zzz`,
		"status > 1\n  && nope == 1":     `line 2, column 6: unknown variable nope`,
		`status >= "500"`:                `column 8: invalid operation: >= (mismatched types number and string): text stands in quotes, a number does not`,
		`status in ["500"]`:              `number`,
		`uri`:                            `"uri" is text, neither true nor false: compare it, such as uri != ""`,
		`status`:                         `"status" is a number, neither true nor false`,
		`[1]`:                            `neither true nor false`,
		`fromJSON(arg_x).y`:              `may not be true or false: compare it, such as`,
		`status >=`:                      `column 9: unexpected token`,
		``:                               `unexpected token`,
		`host matches "("`:               `column 6: `,
		`var(host) == ""`:                `column 1: var takes one name in quotes`,
		`var() == ""`:                    `var takes one name in quotes`,
		`cidr(remote_addr)`:              `cidr takes an address and prefixes`,
		`cidr(remote_addr, host)`:        `column 19: a prefix of cidr must stand there in quotes`,
		`cidr(remote_addr, "10.0.0.1")`:  `column 19: "10.0.0.1" is not an address prefix: write`,
		`cidr(status, "10.0.0.0/8")`:     `number`,
		`http_x_a == nil`:                `column 13: a variable is never nil: write http_x_a == ""`,
		`nil != http_x_a`:                `write http_x_a != ""`,
		`$env.status == 1`:               `unknown variable $env`,
		`host.name == "x"`:               `column 6: `,
		`frobnicate(host)`:               `unknown variable frobnicate`,
		`"é" == "é" && nope == 1`:        `column 15: unknown variable nope`,
	} {
		c, err := core.ParseCondition(source)
		if err == nil || !strings.Contains(err.Error(), due) {
			t.Errorf("%s: %v, error %v, due one with %q", source, c, err, due)
			continue
		}
		for _, word := range []string{"float64", "interface {}", "\n", "*ast", "goroutine"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error %q holds %q", source, err, word)
			}
		}
	}
}

func TestAConditionThatFailsOnAValueDoesNotMatchAndSaysWhy(t *testing.T) {
	c := condition(t, `int(http_x_beta) > 1`)
	x := answered(t)
	ok, err := c.Eval(x)
	if ok || err == nil || !strings.HasPrefix(err.Error(), "column 1: ") {
		t.Errorf("%v %v, due an error with its column", ok, err)
	}
	if c.Match(x) {
		t.Error("it matched")
	}
}

func TestTheNilConditionMatches(t *testing.T) {
	var c *core.Condition
	if ok, err := c.Eval(get(t, "/")); !ok || err != nil || !c.Match(get(t, "/")) || c.String() != "" {
		t.Errorf("%v %v %q, due true and no text", ok, err, c)
	}
}

func TestAConditionIsDecodedFromText(t *testing.T) {
	var c core.Condition
	if err := c.UnmarshalText([]byte(`uri == "/x"`)); err != nil || c.Match(get(t, "/")) || !c.Match(get(t, "/x")) {
		t.Errorf("%v", err)
	}
	if err := c.UnmarshalText([]byte(`uri ==`)); err == nil {
		t.Error("a wrong condition was decoded")
	}
}

var commonConditions = []string{
	`request_method == "GET" && http_x_beta != ""`,
	`status >= 500 || request_time > 0.5`,
	`remote_addr in ["10.0.0.1", "10.0.0.2", "10.1.2.3"]`,
	`cookie_sid in ["a","b","c","d","e","f","g","h","i"]`,
	`status in 500..599 && status not in [501, 505]`,
	`host matches "^shop[.]" and not (uri startsWith "/admin")`,
	`uri contains "items" && arg_page == "2"`,
	`cidr(remote_addr, "192.168.0.0/16", "10.0.0.0/8")`,
	`var("tier") == "gold" && path_id == "42"`,
	`content_length > 1000 || attempts < 2`,
}

func TestCommonConditionsAllocateNothing(t *testing.T) {
	x := answered(t)
	for _, source := range commonConditions {
		c := condition(t, source)
		if n := testing.AllocsPerRun(100, func() { c.Match(x) }); n != 0 {
			t.Errorf("%s: %v allocations, due 0", source, n)
		}
	}
}

func TestConditionsRunOnManyGoroutinesAtOnce(t *testing.T) {
	c := condition(t, `len(arg_page) == 1 && lower(http_x_beta) == "on"`)
	done := make(chan bool)
	for range 8 {
		go func() {
			x, ok := answered(t), true
			for range 200 {
				ok = c.Match(x) && ok
			}
			done <- ok
		}()
	}
	for range 8 {
		if !<-done {
			t.Error("a condition was false, due true")
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	for name, source := range map[string]string{
		"two_texts": commonConditions[0], "numbers": `status >= 500 && status < 600`, "list": commonConditions[2],
		"regexp": `host matches "^shop[.]"`, "cidr": commonConditions[7], "machine": `len(arg_page) == 1`,
	} {
		b.Run(name, func(b *testing.B) {
			c, x := condition(b, source), answered(b)
			b.ReportAllocs()
			for b.Loop() {
				c.Match(x)
			}
		})
	}
}
