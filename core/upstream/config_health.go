package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Health has each endpoint checked by requests of the proxy's own. An endpoint counts as healthy
// until its first check has ended.
type Health struct {
	// Path is the target of the request. "": the check is only that a connection can be made,
	// with TLS when the upstream has it. Default: none.
	Path string `yaml:"path"`
	// Every is the time between two checks of an endpoint, varied by a tenth. Default: 5s.
	Every core.Duration `yaml:"every"`
	// Timeout is how long one check may take. Default: 2s.
	Timeout core.Duration `yaml:"timeout"`
	// Healthy is how many checks in a row must pass before an unhealthy endpoint is used again.
	// Default: 2. Range: from 1.
	Healthy int `yaml:"healthy"`
	// Unhealthy is how many checks in a row must fail before an endpoint is no longer used. The
	// very first check decides alone. Default: 3. Range: from 1.
	Unhealthy int `yaml:"unhealthy"`
	// Status are the statuses that pass. Default: 200-399.
	Status []StatusRange `yaml:"status"`
	// Method is the method of the request. Default: GET.
	Method string `yaml:"method"`
	// Host is the Host of the request. Default: the endpoint's address.
	Host string `yaml:"host"`
	// Headers are further fields of the request.
	Headers map[string]string `yaml:"headers"`
	// Contains is text that must be in the first 64 KiB of the response body. Default: none.
	Contains string `yaml:"contains"`
}

// Defaults implements core.Defaulter.
func (h *Health) Defaults() {
	*h = Health{
		Every:     core.Duration(5 * time.Second),
		Timeout:   core.Duration(2 * time.Second),
		Healthy:   2,
		Unhealthy: 3,
		Status:    []StatusRange{{200, 399}},
		Method:    http.MethodGet,
	}
}

// Validate implements core.Validator.
func (h *Health) Validate() error {
	switch {
	case h.Path != "" && !strings.HasPrefix(h.Path, "/"):
		return fmt.Errorf("health.path %q does not begin with /", h.Path)
	case h.Every <= 0:
		return errors.New("health.every is 0: write a time such as 5s")
	case h.Timeout <= 0:
		return errors.New("health.timeout is 0: write a time such as 2s")
	case h.Healthy < 1 || h.Unhealthy < 1:
		return errors.New("health.healthy and health.unhealthy must be at least 1")
	case len(h.Status) == 0:
		return errors.New("health.status is empty: write statuses such as 200-399")
	}
	if _, err := http.NewRequest(h.Method, "http://endpoint"+h.Path, nil); err != nil {
		return fmt.Errorf("health.method %q or health.path %q cannot be sent: %w", h.Method, h.Path, err)
	}
	for _, r := range h.Status {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// StatusRange is a range of statuses. Its short form is 204 or 200-399.
type StatusRange struct {
	// From is the lowest status.
	From int `yaml:"from,required"`
	// To is the highest status.
	To int `yaml:"to,required"`
}

// UnmarshalText takes the short form.
func (r *StatusRange) UnmarshalText(text []byte) error {
	lo, hi, ranged := strings.Cut(string(text), "-")
	if !ranged {
		hi = lo
	}
	var errLo, errHi error
	r.From, errLo = strconv.Atoi(strings.TrimSpace(lo))
	r.To, errHi = strconv.Atoi(strings.TrimSpace(hi))
	if errLo != nil || errHi != nil {
		return fmt.Errorf("%q is not a status: write 204 or 200-399", text)
	}
	return r.Validate()
}

// Validate implements core.Validator.
func (r *StatusRange) Validate() error {
	if r.From < 200 || r.To > 599 || r.To < r.From {
		return fmt.Errorf("statuses %d-%d: write a range within 200-599", r.From, r.To)
	}
	return nil
}
