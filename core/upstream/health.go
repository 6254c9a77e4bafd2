package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// checker checks one endpoint until it is stopped.
type checker struct {
	settings string // what it was started with
	check    func(context.Context) error
	health   *Health
	run      int // results in a row that speak against the endpoint's state; guarded by lineage.mu
	cancel   context.CancelFunc
	done     chan struct{}
}

// settings identifies what is checked and how.
func (h *Health) settings() string { return fmt.Sprintf("%+v", *h) }

func startChecker(l *lineage, p *peer, u *Upstream) *checker {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checker{
		settings: u.cfg.Health.settings(), check: u.newCheck(p.address), health: u.cfg.Health,
		cancel: cancel, done: make(chan struct{}),
	}
	go c.loop(ctx, l, p)
	return c
}

// stop ends checkers and waits for them. It must not be called with lineage.mu held.
func stop(checkers []*checker) {
	for _, c := range checkers {
		c.cancel()
	}
	for _, c := range checkers {
		<-c.done
	}
}

func (c *checker) loop(ctx context.Context, l *lineage, p *peer) {
	defer close(c.done)
	for {
		once, cancel := context.WithTimeout(ctx, c.health.Timeout.Std())
		err := c.check(once)
		cancel()
		if ctx.Err() != nil {
			return
		}
		l.checked(p, c, err)
		every := c.health.Every.Std()
		select {
		case <-time.After(every - every/10 + time.Duration(rand.Int64N(int64(every/5+1)))):
		case <-ctx.Done():
			return
		}
	}
}

// checked takes down the result of a check.
func (l *lineage) checked(p *peer, c *checker, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.checker != c {
		return // it was stopped meanwhile
	}
	first := !p.wasCheck
	p.wasCheck = true
	if sick := err != nil; sick == p.sick.Load() {
		c.run = 0
		return
	}
	need := c.health.Healthy
	if err != nil {
		need = c.health.Unhealthy
	}
	if c.run++; c.run < need && !first {
		return
	}
	c.run = 0
	now := core.Now()
	p.sick.Store(err != nil)
	if err == nil {
		p.rampFrom.Store(int64(now))
	}
	l.refresh(now)
	log := l.newestOf(p).log
	if err != nil {
		log.Warn(fmt.Sprintf("%s is unhealthy: %v", l.say(p), err))
		return
	}
	log.Info(fmt.Sprintf("%s is healthy again", l.say(p)))
}

// maxCheckBody is how much of a response body is looked at.
const maxCheckBody = 64 << 10

// newCheck returns the function that checks an address once.
func (u *Upstream) newCheck(address string) func(context.Context) error {
	network, target := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, target = "unix", path
	}
	conf := u.checkTLS
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}
	if u.cfg.Health.Path == "" {
		return func(ctx context.Context) error { return checkConnect(ctx, dial, serverName(conf, target)) }
	}
	client := &http.Transport{
		DialContext: dial, TLSClientConfig: serverName(conf, target), DisableKeepAlives: true,
		DisableCompression: true, Protocols: checkProtocols(u.cfg.Protocol),
	}
	return func(ctx context.Context) error { return u.checkHTTP(ctx, client, address, conf != nil) }
}

func serverName(conf *tls.Config, target string) *tls.Config {
	if conf == nil {
		return nil
	}
	conf = conf.Clone()
	if host, _, err := net.SplitHostPort(target); err == nil && conf.ServerName == "" {
		conf.ServerName = host
	}
	return conf
}

func checkProtocols(protocol string) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(protocol == "http1" || protocol == "auto")
	p.SetHTTP2(protocol == "h2" || protocol == "auto")
	p.SetUnencryptedHTTP2(protocol == "h2c")
	return p
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func checkConnect(ctx context.Context, dial dialFunc, conf *tls.Config) error {
	conn, err := dial(ctx, "", "")
	if err != nil {
		return err
	}
	defer conn.Close()
	if conf == nil {
		return nil
	}
	return tls.Client(conn, conf).HandshakeContext(ctx)
}

func (u *Upstream) checkHTTP(ctx context.Context, client *http.Transport, address string, encrypted bool) error {
	h := u.cfg.Health
	scheme := "http"
	if encrypted {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, h.Method, scheme+"://"+hostOf(address)+h.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "sluice-health")
	for name, value := range h.Headers {
		req.Header.Set(name, value)
	}
	req.Host = h.Host
	resp, err := client.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", h.Method, h.Path, err)
	}
	defer resp.Body.Close()
	return h.judge(resp)
}

func (h *Health) judge(resp *http.Response) error {
	pass := false
	for _, r := range h.Status {
		pass = pass || r.From <= resp.StatusCode && resp.StatusCode <= r.To
	}
	if !pass {
		return fmt.Errorf("%s %s: status %d", h.Method, h.Path, resp.StatusCode)
	}
	if h.Contains == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCheckBody))
	if err != nil {
		return fmt.Errorf("%s %s: body: %w", h.Method, h.Path, err)
	}
	if !strings.Contains(string(body), h.Contains) {
		return fmt.Errorf("%s %s: %q is not in the body", h.Method, h.Path, h.Contains)
	}
	return nil
}
