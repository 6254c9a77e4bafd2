package core_test

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

func TestUnitsAreParsed(t *testing.T) {
	for _, c := range []struct {
		into encoding.TextUnmarshaler
		in   string
		due  string // what it prints as
	}{
		{new(core.Duration), "300ms", "300ms"},
		{new(core.Duration), "1h30m", "1h30m0s"},
		{new(core.Duration), "0", "0s"},
		{new(core.DurationRange), "5s..300s", "5s..5m0s"},
		{new(core.DurationRange), "10ms .. 1s", "10ms..1s"},
		{new(core.DurationRange), "5s", "5s"},
		{new(core.Size), "0", "0B"},
		{new(core.Size), "512B", "512B"},
		{new(core.Size), "64KiB", "64KiB"},
		{new(core.Size), "1.5 MiB", "1536KiB"},
		{new(core.Size), "2GiB", "2GiB"},
		{new(core.Size), "1KB", "1000B"},
		{new(core.Size), "8k", "8KiB"},
		{new(core.Size), "1G", "1GiB"},
		{new(core.Percent), "20%", "20%"},
		{new(core.Percent), "0.5 %", "0.5%"},
		{new(core.Rate), "100/s", "100/s"},
		{new(core.Rate), "30 / m", "0.5/s"},
		{new(core.Rate), "3600/h", "1/s"},
	} {
		if err := c.into.UnmarshalText([]byte(c.in)); err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if got := printed(c.into); got != c.due {
			t.Errorf("%q is %s, due %s", c.in, got, c.due)
		}
	}
}

// printed prints a pointer to a unit as its value prints.
func printed(v any) string {
	switch v := v.(type) {
	case *core.Duration:
		return v.String()
	case *core.DurationRange:
		return v.String()
	case *core.Size:
		return v.String()
	case *core.Percent:
		return v.String()
	case *core.Rate:
		return v.String()
	}
	return fmt.Sprint(v)
}

func TestWrongUnitsSayWhatToWrite(t *testing.T) {
	for _, c := range []struct {
		into encoding.TextUnmarshaler
		in   string
		due  string // part of the error
	}{
		{new(core.Duration), "5", `write 5s or 5ms`},
		{new(core.Duration), "-5s", `below zero`},
		{new(core.Duration), "", `not a duration`},
		{new(core.Duration), "5 s", `not a duration`},
		{new(core.DurationRange), "5s..", `not a duration`},
		{new(core.DurationRange), "5s..1s", `ends before it begins`},
		{new(core.DurationRange), "5..6s", `write 5s`},
		{new(core.Size), "64", `write 64B, 64KiB or 64MiB`},
		{new(core.Size), "-1B", `not a size`},
		{new(core.Size), "x", `not a size`},
		{new(core.Size), "nanB", `not a size`},
		{new(core.Size), "1e30GiB", `not a size`},
		{new(core.Size), "", `not a size`},
		{new(core.Percent), "20", `such as 20%`},
		{new(core.Percent), "-1%", `not a percentage`},
		{new(core.Percent), "nan%", `not a percentage`},
		{new(core.Rate), "100", `such as 100/s`},
		{new(core.Rate), "100/d", `not a rate`},
		{new(core.Rate), "inf/s", `not a rate`},
	} {
		err := c.into.UnmarshalText([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.due) {
			t.Errorf("%T %q: error %v, due one with %q", c.into, c.in, err, c.due)
		}
	}
}

func TestInstantsMeasureTheMonotonicClock(t *testing.T) {
	a := core.Now()
	b := a.Add(time.Second)
	if b.Sub(a) != time.Second {
		t.Errorf("a second later is %v later", b.Sub(a))
	}
	if wall := a.Time(); time.Since(wall).Abs() > time.Minute {
		t.Errorf("now is %v by the wall clock", wall)
	}
}
