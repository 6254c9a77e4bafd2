package core_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

func template(t testing.TB, source string) *core.Template {
	t.Helper()
	tmpl, err := core.ParseTemplate(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return tmpl
}

func TestTemplates(t *testing.T) {
	x := answered(t)
	for source, due := range map[string]string{
		"":                                 "",
		"plain":                            "plain",
		"$host":                            "shop.example.com",
		"$route-$host":                     "shop-shop.example.com",
		"${host}x":                         "shop.example.comx",
		"$host$status":                     "shop.example.com503",
		"a $$5 b$$":                        "a $5 b$",
		"$$$route$$":                       "$shop$",
		"$$route":                          "$route",
		"[$http_none]":                     "[]",
		"${arg_page}/${path_id}/$var_tier": "2/42/gold",
		"${http_x-beta}$http_x_beta":       "onon",
		"$uri?$args":                       "/shop/items x?page=2&empty=",
		"é$route é":                        "éshop é",
		"{$route}":                         "{shop}",
	} {
		tmpl := template(t, source)
		if got := tmpl.Eval(x); got != due {
			t.Errorf("%q: %q, due %q", source, got, due)
		}
		if got := string(tmpl.Append([]byte("> "), x)); got != "> "+due {
			t.Errorf("%q appended: %q, due %q", source, got, "> "+due)
		}
		if tmpl.String() != source {
			t.Errorf("%q prints as %q", source, tmpl)
		}
	}
}

func TestWrongTemplatesSayWhereAndWhat(t *testing.T) {
	for source, due := range map[string]string{
		"$":              "column 1: $ without a variable's name: write $$ for a dollar",
		"costs 5$":       "column 8: $ without a variable's name",
		"a $-b":          "column 3: $ without",
		"é ${host":       "column 3: ${ without }: close",
		"x${}":           "column 2: ${} names no variable",
		"$hsot":          "column 1: unknown variable $hsot: did you mean $host?",
		"a$HOST":         "column 2: unknown variable $HOST: did you mean $host?",
		"$request_metod": "did you mean $request_method?",
		"$htt_x_user":    "did you mean $http_x_user?",
		"$sent_htp_etag": "did you mean $sent_http_etag?",
		"$cokie_a":       "did you mean $cookie_a?",
		"$id":            "a capture of the route's path is $path_id, what a filter sets is $var_id",
		"$1":             "unknown variable $1",
		"$http_":         "unknown variable $http_",
		"$host ${nope}":  "column 7: unknown variable $nope",
	} {
		tmpl, err := core.ParseTemplate(source)
		if err == nil || !strings.Contains(err.Error(), due) {
			t.Errorf("%q: %v, error %v, due one with %q", source, tmpl, err, due)
		}
	}
}

func TestALiteralTemplateIsKnownToBeOne(t *testing.T) {
	for source, due := range map[string]string{"": "", "a b": "a b", "5$$": "5$"} {
		if got, ok := template(t, source).Literal(); got != due || !ok {
			t.Errorf("%q: literal %q %v, due %q", source, got, ok, due)
		}
	}
	for _, source := range []string{"$host", "a$host", "$host$uri"} {
		if got, ok := template(t, source).Literal(); ok {
			t.Errorf("%q: literal %q, due none", source, got)
		}
	}
}

func TestTheNilTemplateIsNothing(t *testing.T) {
	var tmpl *core.Template
	text, ok := tmpl.Literal()
	if tmpl.Eval(nil) != "" || tmpl.String() != "" || string(tmpl.Append([]byte("a"), nil)) != "a" || text != "" || !ok {
		t.Errorf("eval %q string %q literal %q %v", tmpl.Eval(nil), tmpl.String(), text, ok)
	}
}

func TestATemplateIsDecodedFromText(t *testing.T) {
	var tmpl core.Template
	if err := tmpl.UnmarshalText([]byte("$route!")); err != nil || tmpl.Eval(answered(t)) != "shop!" {
		t.Errorf("%v, evaluates to %q", err, tmpl.Eval(answered(t)))
	}
	if err := tmpl.UnmarshalText([]byte("$")); err == nil {
		t.Error("a wrong template was decoded")
	}
}

func TestLogTemplatesEscapeValuesButNotTheirOwnText(t *testing.T) {
	hostile := "a\"b\\c\r\n\t\x00\x7f\xffé~"
	for _, c := range []struct {
		escape core.EscapeKind
		value  string
		due    string
	}{
		{core.EscapeDefault, hostile, `"a\x22b\x5Cc\x0D\x0A\x09\x00\x7F\xFF\xC3\xA9~"`},
		{core.EscapeDefault, "plain", `"plain"`},
		{core.EscapeDefault, "", `"-"`},
		{core.EscapeJSON, hostile, `"a\"b\\c\r\n\t\u0000\u007F\ufffdé~"`},
		{core.EscapeJSON, "", `""`},
		{core.EscapeOff, hostile, "\"" + hostile + "\""},
		{core.EscapeOff, "", `""`},
	} {
		x := get(t, "/")
		x.SetVar("v", c.value)
		tmpl, err := core.ParseLogTemplate(`"$var_v"`, c.escape)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(tmpl.Append([]byte("> "), x)); got != "> "+c.due {
			t.Errorf("%v of %q: %q, due %q", c.escape, c.value, got, "> "+c.due)
		}
		if got := tmpl.Eval(x); got != c.due {
			t.Errorf("%v of %q evaluated: %q, due %q", c.escape, c.value, got, c.due)
		}
	}
}

func FuzzEscapedJSONIsValid(f *testing.F) {
	f.Add("a\"b\\\x00\xff\u2028")
	tmpl, err := core.ParseLogTemplate(`"$var_v"`, core.EscapeJSON)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		x := get(t, "/")
		x.SetVar("v", value)
		var back string
		if err := json.Unmarshal([]byte(tmpl.Eval(x)), &back); err != nil {
			t.Fatalf("%q: %s is not JSON: %v", value, tmpl.Eval(x), err)
		}
		if due := strings.ToValidUTF8(value, ""); strings.ReplaceAll(back, "\ufffd", "") != strings.ReplaceAll(due, "\ufffd", "") {
			t.Errorf("%q came back as %q", value, back)
		}
	})
}

func TestEscapeKindsAreNamed(t *testing.T) {
	for _, name := range []string{"default", "json", "none"} {
		var k core.EscapeKind
		if err := k.UnmarshalText([]byte(name)); err != nil || k.String() != name {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	var k core.EscapeKind
	if err := k.UnmarshalText([]byte("xml")); err == nil || !strings.Contains(err.Error(), "write default, json or none") {
		t.Errorf("xml: %v", err)
	}
}

const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

func TestCommonTemplatesAllocateNothing(t *testing.T) {
	x := answered(t)
	x.Attempts = append(x.Attempts, core.Attempt{Endpoint: "10.0.0.1:80", Status: 502}, core.Attempt{Endpoint: "10.0.0.2:80", Status: 200, Total: 1500e6})
	x.Request.Header.Add("User-Agent", "with \"quotes\"")
	var buf [1024]byte
	for source, escape := range map[string]core.EscapeKind{
		"$route-$host": core.EscapeOff, combined: core.EscapeDefault, combined + " ": core.EscapeJSON,
		`$request_time $msec $upstream_addr $upstream_status $upstream_response_time $connection $time_iso8601 $request_id`: core.EscapeDefault,
		`$proxy_add_x_forwarded_for $realip_remote_addr $server_addr $server_port`:                                          core.EscapeOff,
	} {
		tmpl, err := core.ParseLogTemplate(source, escape)
		if err != nil {
			t.Fatal(err)
		}
		dst := buf[:0]
		// Many runs in a row, so that the one in which a second begins does not count.
		if n := testing.AllocsPerRun(1000, func() { dst = tmpl.Append(dst[:0], x) }); n != 0 {
			t.Errorf("%s: %v allocations, due 0", source, n)
		}
	}
	for _, source := range []string{"text", "$host", "$http_x_beta", "$arg_page", "$cookie_sid", "$path_id", "$request_id", "$time_local"} {
		tmpl := template(t, source)
		if n := testing.AllocsPerRun(1000, func() { tmpl.Eval(x) }); n != 0 {
			t.Errorf("%s evaluated: %v allocations, due 0", source, n)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	for name, source := range map[string]string{"variable": "$host", "three_parts": "$route-$host", "combined": combined} {
		b.Run(name, func(b *testing.B) {
			tmpl, err := core.ParseLogTemplate(source, core.EscapeDefault)
			if err != nil {
				b.Fatal(err)
			}
			x, dst := answered(b), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				dst = tmpl.Append(dst[:0], x)
			}
		})
	}
}
