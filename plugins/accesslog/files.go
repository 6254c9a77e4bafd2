package accesslog

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// sinks are the files in use, by path. They outlive a reload, because the filters of the new
// configuration are built before those of the old one are closed.
var sinks struct {
	mu     sync.Mutex // guards byPath and the refs of each; never taken by a request
	byPath map[string]*sink
}

// acquire returns the sink of path, opening the file when no filter has it. Each acquire wants a
// release.
func acquire(path string, set settings) (*sink, error) {
	sinks.mu.Lock()
	defer sinks.mu.Unlock()
	if s := sinks.byPath[path]; s != nil {
		s.refs++
		s.settings.Store(&set)
		s.signal()
		return s, nil
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	if sinks.byPath == nil {
		sinks.byPath = make(map[string]*sink)
	}
	s := newSink(path, file, set)
	s.refs = 1
	sinks.byPath[path] = s
	return s, nil
}

func (s *sink) release() error {
	sinks.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		delete(sinks.byPath, s.path)
	}
	sinks.mu.Unlock()
	if !last {
		return nil
	}
	return s.close()
}

func open(path string) (*os.File, error) {
	switch path {
	case "stdout":
		return os.Stdout, nil
	case "stderr":
		return os.Stderr, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return file, nil
}

// ReopenAll opens every access log's file anew, for whoever rotates them: lines of exchanges that
// have ended before go to the old file. It does not wait for a write. A file that cannot be opened
// is in the error, and its log goes on in the old file.
func ReopenAll() error {
	sinks.mu.Lock()
	defer sinks.mu.Unlock()
	var errs []error
	for _, s := range sinks.byPath {
		if s.path == "stdout" || s.path == "stderr" {
			continue
		}
		file, err := open(s.path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if older := s.next.Swap(file); older != nil {
			older.Close()
		}
		s.signal()
	}
	return errors.Join(errs...)
}
