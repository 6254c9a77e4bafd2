package config

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// logOutput is where the proxy's own log goes, as the configuration says now. Loggers that were
// made before a reload follow it.
type logOutput struct {
	level slog.LevelVar
	json  atomic.Bool

	mu   sync.Mutex // guards what follows, and keeps lines whole
	out  io.Writer
	file *os.File // nil for the standard error
}

func newLogOutput() *logOutput { return &logOutput{out: os.Stderr} }

// logger returns a logger that writes to o.
func (o *logOutput) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: &o.level}
	return slog.New(logHandler{o, slog.NewTextHandler(o, options), slog.NewJSONHandler(o, options)})
}

// Write writes one line.
func (o *logOutput) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.Write(line)
}

// openLog opens the file that the configuration names; nil for the standard error.
func openLog(c *Log, dir string) (*os.File, error) {
	if c.File == "stderr" {
		return nil, nil
	}
	name := c.File
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log.file %s: %w", c.File, plainError(err))
	}
	return f, nil
}

// use goes over to what the configuration says, with the file that openLog opened for it.
func (o *logOutput) use(c *Log, file *os.File) {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) == nil { // one of the four names, as decoded
		o.level.Set(level)
	}
	o.json.Store(c.Format == "json")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
	}
	o.out, o.file = os.Stderr, file
	if file != nil {
		o.out = file
	}
}

// close writes what comes later to the standard error.
func (o *logOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
		o.out, o.file = os.Stderr, nil
	}
}

// logHandler is a text and a JSON handler of which the output chooses one for each line.
type logHandler struct {
	*logOutput
	text, json slog.Handler
}

func (h logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.logOutput.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.logOutput, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.logOutput, h.text.WithGroup(name), h.json.WithGroup(name)}
}
