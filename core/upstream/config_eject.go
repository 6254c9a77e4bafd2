package upstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Eject takes endpoints out that fail or are slow. An endpoint that was out for its time is
// probed with one request, and comes back when that succeeds.
type Eject struct {
	// Consecutive is how many failures in a row eject an endpoint. 0: not counted. Default: 5.
	Consecutive int `yaml:"consecutive"`
	// SuccessRate ejects an endpoint of whose requests too few succeed. Not given: not looked at.
	SuccessRate *SuccessRate `yaml:"success_rate"`
	// Slow ejects an endpoint that is much slower than the others. Not given: not looked at.
	Slow *Slow `yaml:"slow"`
	// For is how long an endpoint stays out: a random time, at first near the lower end, longer
	// with each ejection that follows soon, never above the upper end. Default: 5s..300s.
	For core.DurationRange `yaml:"for"`
	// Max is the largest share of the endpoints that may be out at the same time. Of two or more
	// endpoints one may always be, unless it is 0%. Default: 50%.
	// Range: 0% to 100%.
	Max core.Percent `yaml:"max"`
	// Errors are what counts as failure: connect, refused, reset, timeout, 4xx, 5xx,
	// gateway-error, retriable-4xx, or a status. Default: [connect, reset, timeout, 5xx].
	Errors []core.Outcome `yaml:"errors"`
}

// SuccessRate is a bound on the share of requests that succeed.
type SuccessRate struct {
	// Below is the share under which an endpoint is ejected. Default: 80%. Range: 0% to 100%.
	Below core.Percent `yaml:"below"`
	// Window is the time looked back on. Default: 10s.
	Window core.Duration `yaml:"window"`
	// MinRequests is how many requests there must have been in it. Default: 20. Range: from 1.
	MinRequests int `yaml:"min_requests"`
}

// Slow is a bound on an endpoint's latency, which is its mean time to the response head.
type Slow struct {
	// Factor is how many times the median of the endpoints' latencies is too slow. Default: 3. Range:
	// above 1.
	Factor float64 `yaml:"factor"`
	// Floor is the latency below which no endpoint is slow. Default: 10ms.
	Floor core.Duration `yaml:"floor"`
	// Window is the time looked back on. Default: 10s.
	Window core.Duration `yaml:"window"`
	// MinRequests is how many requests an endpoint must have had in it to be judged, and to count
	// for the median. Default: 20. Range: from 1.
	MinRequests int `yaml:"min_requests"`
}

// Defaults implements core.Defaulter.
func (e *Eject) Defaults() {
	*e = Eject{
		Consecutive: 5,
		For:         core.DurationRange{Min: core.Duration(5 * time.Second), Max: core.Duration(300 * time.Second)},
		Max:         0.5,
		Errors:      defaultFailures(),
	}
}

func defaultFailures() []core.Outcome {
	out := make([]core.Outcome, 4)
	for i, name := range []string{"connect", "reset", "timeout", "5xx"} {
		if err := out[i].UnmarshalText([]byte(name)); err != nil {
			panic(err)
		}
	}
	return out
}

// Defaults implements core.Defaulter.
func (s *SuccessRate) Defaults() {
	*s = SuccessRate{Below: 0.8, Window: core.Duration(10 * time.Second), MinRequests: 20}
}

// Defaults implements core.Defaulter.
func (s *Slow) Defaults() {
	*s = Slow{
		Factor:      3,
		Floor:       core.Duration(10 * time.Millisecond),
		Window:      core.Duration(10 * time.Second),
		MinRequests: 20,
	}
}

// Validate implements core.Validator.
func (e *Eject) Validate() error {
	switch {
	case e.Consecutive < 0:
		return fmt.Errorf("eject.consecutive is %d: 0 counts none", e.Consecutive)
	case e.For.Min <= 0:
		return errors.New("eject.for begins with 0: write a time such as 5s..300s")
	case e.Max > 1:
		return fmt.Errorf("eject.max is %s: the highest is 100%%", e.Max)
	case core.NewOutcomeSet(e.Errors).GRPC():
		return errors.New("eject.errors holds a gRPC status, which says nothing of the endpoint: remove it")
	}
	if e.SuccessRate != nil {
		if err := e.SuccessRate.Validate(); err != nil {
			return err
		}
	}
	if e.Slow != nil {
		return e.Slow.Validate()
	}
	return nil
}

// Validate implements core.Validator.
func (s *SuccessRate) Validate() error {
	if s.Below > 1 {
		return fmt.Errorf("success_rate.below is %s: the highest is 100%%", s.Below)
	}
	return checkWindow("success_rate", s.Window, s.MinRequests)
}

// Validate implements core.Validator.
func (s *Slow) Validate() error {
	if s.Factor <= 1 {
		return fmt.Errorf("slow.factor is %g: it must be above 1", s.Factor)
	}
	return checkWindow("slow", s.Window, s.MinRequests)
}

func checkWindow(name string, window core.Duration, least int) error {
	if window.Std() < minWindow {
		return fmt.Errorf("%s.window is %s: the shortest is %s", name, window, minWindow)
	}
	if least < 1 {
		return fmt.Errorf("%s.min_requests is %d: the least is 1", name, least)
	}
	return nil
}
