package bodylimit_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/bodylimit"
)

func build(t testing.TB, request, response string) core.Filter {
	t.Helper()
	c := new(bodylimit.Config)
	for text, into := range map[string]**core.Size{request: &c.Request, response: &c.Response} {
		if text == "" {
			continue
		}
		*into = new(core.Size)
		if err := (*into).UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := bodylimit.New(c, &core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// body makes text a body whose length is known or not.
func body(b *core.Body, text string, known bool) {
	length := int64(-1)
	if known {
		length = int64(len(text))
	}
	b.Set(io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), length)
}

// tooLarge checks that err is body_too_large with the status and side.
func tooLarge(t *testing.T, err error, status int, side core.Side) {
	t.Helper()
	e, ok := core.AsError(err)
	if !ok || e.Code != core.CodeBodyTooLarge || e.StatusCode() != status || e.Side != side {
		t.Errorf("error is %v; due body_too_large with status %d on the %v's side", err, status, side)
	}
}

func TestARequestWhoseLengthIsAboveTheLimitGoesNowhere(t *testing.T) {
	x := core.NewExchange(nil, nil)
	defer x.Release()
	body(&x.Request.Body, "12345", true)
	err := build(t, "4B", "").Handle(x, core.HandlerFunc(func(*core.Exchange) error {
		t.Error("the endpoint was called")
		return nil
	}))
	tooLarge(t, err, 413, core.SideClient)
}

func TestARequestOfUnknownLengthFailsWhereItPassesTheLimit(t *testing.T) {
	for _, c := range []struct {
		sent string
		fits bool
	}{{"", true}, {"123", true}, {"1234", true}, {"12345", false}, {"123456789", false}} {
		x := core.NewExchange(nil, nil)
		body(&x.Request.Body, c.sent, false)
		var got []byte
		err := build(t, "4B", "").Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
			var err error
			got, err = io.ReadAll(x.Request.Body.Reader())
			if _, again := x.Request.Body.Reader().Read(make([]byte, 1)); err != nil && !errors.Is(again, err) {
				t.Errorf("sent %q: a read after %v returns %v", c.sent, err, again)
			}
			return err
		}))
		if !c.fits {
			tooLarge(t, err, 413, core.SideClient)
			if string(got) != c.sent[:4] {
				t.Errorf("sent %q: the endpoint got %q, due the first 4 bytes", c.sent, got)
			}
		} else if err != nil || string(got) != c.sent {
			t.Errorf("sent %q: the endpoint got %q, error %v", c.sent, got, err)
		}
		x.Release()
	}
}

func TestAResponseAboveTheLimitIsTheUpstreamsFault(t *testing.T) {
	for _, known := range []bool{true, false} {
		x := core.NewExchange(nil, nil)
		err := build(t, "", "4B").Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
			x.Response.Status = 200
			body(&x.Response.Body, "12345", known)
			return nil
		}))
		if !known && err == nil {
			_, err = io.ReadAll(x.Response.Body.Reader())
		}
		tooLarge(t, err, 502, core.SideUpstream)
		x.Release()
	}
}

func TestBodiesWithinTheLimitAreNotWrapped(t *testing.T) {
	x := core.NewExchange(nil, nil)
	defer x.Release()
	body(&x.Request.Body, "1234", true)
	before := x.Request.Body.Reader()
	err := build(t, "4B", "4B").Handle(x, core.HandlerFunc(func(x *core.Exchange) error {
		x.Respond(204, "", "")
		return nil
	}))
	if err != nil || x.Request.Body.Reader() != before {
		t.Errorf("error %v, body was replaced: %v", err, x.Request.Body.Reader() != before)
	}
}

func TestNoBodyAtAllCanBeAsked(t *testing.T) {
	f := build(t, "0B", "")
	next := core.HandlerFunc(func(*core.Exchange) error { return nil })
	x := core.NewExchange(nil, nil)
	defer x.Release()
	if err := f.Handle(x, next); err != nil {
		t.Errorf("without a body: %v", err)
	}
	body(&x.Request.Body, "1", true)
	tooLarge(t, f.Handle(x, next), 413, core.SideClient)
}

func TestALimitIsRequired(t *testing.T) {
	if err := new(bodylimit.Config).Validate(); err == nil || !strings.Contains(err.Error(), "neither request nor response") {
		t.Errorf("error %v, due one that asks for a limit", err)
	}
}
