package core

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time in the configuration: a number with its unit, such as 300ms, 5s, 1h30m.
type Duration time.Duration

// UnmarshalText accepts what time.ParseDuration accepts, but nothing below zero.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		if _, numErr := strconv.ParseFloat(string(text), 64); numErr == nil {
			return fmt.Errorf("%q has no unit: write %ss or %sms", text, text, text)
		}
		return fmt.Errorf("%q is not a duration: write a number and ms, s, m or h, such as 300ms", text)
	}
	if v < 0 {
		return fmt.Errorf("%q is below zero", text)
	}
	*d = Duration(v)
	return nil
}

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// DurationRange is two durations, such as 5s..300s; a single one is both ends.
type DurationRange struct{ Min, Max Duration }

// UnmarshalText parses A..B or A.
func (r *DurationRange) UnmarshalText(text []byte) error {
	lo, hi, ranged := strings.Cut(string(text), "..")
	if err := r.Min.UnmarshalText([]byte(strings.TrimSpace(lo))); err != nil {
		return err
	}
	if !ranged {
		r.Max = r.Min
		return nil
	}
	if err := r.Max.UnmarshalText([]byte(strings.TrimSpace(hi))); err != nil {
		return err
	}
	if r.Max < r.Min {
		return fmt.Errorf("%q ends before it begins", text)
	}
	return nil
}

func (r DurationRange) String() string {
	if r.Min == r.Max {
		return r.Min.String()
	}
	return r.Min.String() + ".." + r.Max.String()
}

// Size is a number of bytes: 0, or a number with its unit B, KiB, MiB, GiB (KB, MB, GB for
// powers of ten; k, m, g as in nginx for KiB, MiB, GiB).
type Size int64

var sizeUnits = []struct {
	suffix string
	factor float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"b", 1},
}

// UnmarshalText parses a size.
func (s *Size) UnmarshalText(text []byte) error {
	in := strings.ToLower(strings.TrimSpace(string(text)))
	if in == "0" {
		*s = 0
		return nil
	}
	for _, u := range sizeUnits {
		num, ok := strings.CutSuffix(in, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || v < 0 || v*u.factor > math.MaxInt64/2 || math.IsNaN(v) {
			break
		}
		*s = Size(v * u.factor)
		return nil
	}
	if _, err := strconv.ParseFloat(in, 64); err == nil {
		return fmt.Errorf("%q has no unit: write %sB, %sKiB or %sMiB", text, text, text, text)
	}
	return fmt.Errorf("%q is not a size: write a number and B, KiB, MiB or GiB, such as 64KiB", text)
}

func (s Size) String() string {
	for _, u := range []struct {
		name string
		n    Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.n && s%u.n == 0 {
			return strconv.FormatInt(int64(s/u.n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Percent is a share: 20%, 0.5%. Its value is 0.2 for 20%.
type Percent float64

// UnmarshalText parses a number followed by '%'.
func (p *Percent) UnmarshalText(text []byte) error {
	num, ok := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if !ok || err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is not a percentage: write a number and %%, such as 20%%", text)
	}
	*p = Percent(v / 100)
	return nil
}

func (p Percent) String() string {
	return strconv.FormatFloat(float64(p)*100, 'g', 6, 64) + "%"
}

// Rate is a number of events per time: 100/s, 30/m, 1000/h. Its value is per second.
type Rate float64

// UnmarshalText parses N/s, N/m or N/h.
func (r *Rate) UnmarshalText(text []byte) error {
	num, unit, ok := strings.Cut(strings.TrimSpace(string(text)), "/")
	seconds, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[strings.TrimSpace(unit)]
	v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if !ok || !known || err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is not a rate: write a number and /s, /m or /h, such as 100/s", text)
	}
	*r = Rate(v / seconds)
	return nil
}

func (r Rate) String() string { return strconv.FormatFloat(float64(r), 'g', 6, 64) + "/s" }
