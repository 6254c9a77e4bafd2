package config_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

// The filters of these tests. Each answers to something that a test looks at.
func init() {
	core.Register("test_answer", "answers with a text", core.ScopeRoute|core.ScopeListener, newAnswer)
	core.Register("test_anywhere", "does nothing", core.ScopeAny, newAnywhere)
	core.Register("test_counter", "answers with how often it was asked, over reloads", core.ScopeRoute, newCounter)
	core.Register("test_tracked", "notes when it is built and closed", core.ScopeAny, newTracked)
}

// answerConfig is the YAML of test_answer. Its short form is the text.
type answerConfig struct {
	// Text is the answer. Default: hello.
	Text string `yaml:"text"`
}

func (c *answerConfig) Defaults() { c.Text = "hello" }

func (c *answerConfig) UnmarshalText(text []byte) error {
	c.Text = string(text)
	return nil
}

func (c *answerConfig) Validate() error {
	if c.Text == "" {
		return errors.New("text is empty: write what to answer")
	}
	return nil
}

type answer struct{ text string }

func newAnswer(c *answerConfig, _ *core.Env) (core.Filter, error) {
	if c.Text == "unbuildable" {
		return nil, errors.New("this text cannot be built")
	}
	return answer{c.Text}, nil
}

func (a answer) Handle(x *core.Exchange, _ core.Handler) error {
	x.Respond(200, "text/plain", a.text)
	return nil
}

type anywhere struct{}

func newAnywhere(*struct{}, *core.Env) (core.Filter, error) { return anywhere{}, nil }

func (anywhere) Handle(x *core.Exchange, next core.Handler) error { return next.Handle(x) }

// counterConfig is the YAML of test_counter.
type counterConfig struct {
	// Step is what each request adds.
	Step int `yaml:"step,required"`
}

type count struct {
	mu sync.Mutex // guards n
	n  int
}

type counter struct {
	step  int
	count *count
}

func newCounter(c *counterConfig, env *core.Env) (core.Filter, error) {
	return &counter{c.Step, env.State("count", func() any { return new(count) }).(*count)}, nil
}

func (c *counter) Handle(x *core.Exchange, _ core.Handler) error {
	c.count.mu.Lock()
	defer c.count.mu.Unlock()
	c.count.n += c.step
	x.Respond(200, "text/plain", string(rune('0'+c.count.n)))
	return nil
}

// trackedConfig is the YAML of test_tracked.
type trackedConfig struct {
	// Log names the journal to write to.
	Log string `yaml:"log,required"`
	// Fail makes it unbuildable.
	Fail bool `yaml:"fail"`
}

// journals are the events of tracked filters, by the name of the journal.
var journals struct {
	mu     sync.Mutex // guards events
	events map[string][]string
}

func note(journal, event string) {
	journals.mu.Lock()
	defer journals.mu.Unlock()
	if journals.events == nil {
		journals.events = make(map[string][]string)
	}
	journals.events[journal] = append(journals.events[journal], event)
}

// newJournal returns the name of the test's journal, which is empty.
func newJournal(t *testing.T) string {
	t.Helper()
	journals.mu.Lock()
	defer journals.mu.Unlock()
	delete(journals.events, t.Name())
	return t.Name()
}

// journal returns what is in the test's journal.
func journal(t *testing.T) []string {
	t.Helper()
	journals.mu.Lock()
	defer journals.mu.Unlock()
	return append([]string(nil), journals.events[t.Name()]...)
}

type tracked struct{ journal, name string }

type trackedState struct{ journal, name string }

func (s *trackedState) Close() error {
	note(s.journal, "close state of "+s.name)
	return nil
}

func newTracked(c *trackedConfig, env *core.Env) (core.Filter, error) {
	if c.Fail {
		return nil, errors.New("told to fail")
	}
	note(c.Log, "build "+env.Name)
	env.State("s", func() any {
		note(c.Log, "make state of "+env.Name)
		return &trackedState{c.Log, env.Name}
	})
	return &tracked{c.Log, env.Name}, nil
}

func (f *tracked) Handle(x *core.Exchange, next core.Handler) error { return next.Handle(x) }

func (f *tracked) Close() error {
	note(f.journal, "close "+f.name)
	return nil
}
