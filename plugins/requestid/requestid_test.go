package requestid_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/requestid"
)

var made = regexp.MustCompile(`^[0-9a-f]{32}$`)

func build(t testing.TB, change func(*requestid.Config)) core.Filter {
	t.Helper()
	c := new(requestid.Config)
	c.Defaults()
	change(c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := requestid.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// answered stands for an endpoint that sets an id of its own.
var answered = core.HandlerFunc(func(x *core.Exchange) error {
	x.Respond(200, "", "")
	x.Response.Header.Add("X-Request-ID", "of-the-endpoint")
	return nil
})

func TestOnlyATrustedAndValidIDOfTheClientIsKept(t *testing.T) {
	for _, c := range []struct {
		name  string
		trust bool
		sent  []string
		kept  bool
	}{
		{"no id", true, nil, false},
		{"an id that is not trusted", false, []string{"abc-1"}, false},
		{"a valid id", true, []string{"abc-1._~:/+=@Z9"}, true},
		{"an id of the greatest length", true, []string{strings.Repeat("a", 128)}, true},
		{"an id that is too long", true, []string{strings.Repeat("a", 129)}, false},
		{"an empty id", true, []string{""}, false},
		{"a blank in the id", true, []string{"a b"}, false},
		{"a quote in the id", true, []string{`a"b`}, false},
		{"a letter beyond ASCII", true, []string{"ä"}, false},
		{"two ids", true, []string{"a", "b"}, false},
		{"the same id twice", true, []string{"a", "a"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := build(t, func(cfg *requestid.Config) { cfg.Trust = c.trust })
			x := core.NewExchange(nil, nil)
			defer x.Release()
			for _, id := range c.sent {
				x.Request.Header.Add("x-request-id", id)
			}
			if err := f.Handle(x, answered); err != nil {
				t.Fatal(err)
			}
			want := "32 hexadecimal digits"
			if c.kept {
				want = c.sent[0]
			}
			for where, got := range map[string]string{
				"$request_id":  x.ID(),
				"upstream":     x.Request.Header.Joined("X-Request-ID"),
				"the response": x.Response.Header.Joined("X-Request-ID"),
			} {
				if got != want && (c.kept || !made.MatchString(got)) || got != x.ID() {
					t.Errorf("client sent %q: %s has %q, due %s", c.sent, where, got, want)
				}
			}
		})
	}
}

func TestTheResponseIsLeftAloneWhenAskedFor(t *testing.T) {
	f := build(t, func(c *requestid.Config) { c.Response = false })
	x := core.NewExchange(nil, nil)
	defer x.Release()
	if err := f.Handle(x, answered); err != nil {
		t.Fatal(err)
	}
	if got := x.Response.Header.Joined("X-Request-ID"); got != "of-the-endpoint" {
		t.Errorf("response has X-Request-ID %q, due the endpoint's own", got)
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*requestid.Config)
		due    string
	}{
		{func(c *requestid.Config) { c.Header = "X Request" }, "is no field name"},
		{func(c *requestid.Config) { c.Header = "Connection" }, "belongs to the connection"},
		{func(c *requestid.Config) { c.Header = "Host" }, "belongs to the connection"},
		{func(c *requestid.Config) { c.MaxLength = 0 }, "max_length is out of range"},
		{func(c *requestid.Config) { c.MaxLength = 1025 }, "max_length is out of range"},
	} {
		cfg := new(requestid.Config)
		cfg.Defaults()
		c.change(cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("%+v: error %v, due one with %q", *cfg, err, c.due)
		}
	}
}
