package config

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the files must have been left alone before they are read: editors and
// deployments change several, or one in several steps.
const settle = 100 * time.Millisecond

// watcher tells when the files of a configuration may have changed. It watches their folders, not
// the files: editors and Kubernetes put another file, or another link, in a file's place.
type watcher struct {
	notify *fsnotify.Watcher
	log    *slog.Logger
	again  chan struct{} // asks run to look once more

	mu    sync.Mutex // guards files
	files []string
}

func newWatcher(p places, log *slog.Logger) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{notify: notify, log: log, again: make(chan struct{}, 1)}
	w.follow(p)
	w.look()
	return w, nil
}

// follow watches these places and no others.
func (w *watcher) follow(p places) {
	w.mu.Lock()
	w.files = p.files
	w.mu.Unlock()
	have := w.notify.WatchList()
	for _, folder := range have {
		if !slices.Contains(p.folders, folder) {
			w.notify.Remove(folder) // it fails when the folder is gone, which is as well
		}
	}
	for _, folder := range p.folders {
		if slices.Contains(have, folder) {
			continue
		}
		if err := w.notify.Add(folder); err != nil {
			w.log.Warn("folder is not watched for changes of the configuration", "folder", folder, "error", err)
		}
	}
}

// run calls changed after each change, until close.
func (w *watcher) run(changed func()) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case event, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if w.concerns(event) {
				quiet.Reset(settle)
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			w.log.Warn("a change of the configuration may have been missed", "error", err)
			quiet.Reset(settle)
		case <-w.again:
			quiet.Reset(settle)
		case <-quiet.C:
			changed()
		}
	}
}

// look has run call changed soon: what was done to a place before it was followed went unseen.
func (w *watcher) look() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// concerns leaves out writes to other files, such as a log in the same folder. What appears, goes
// or is renamed may be a link that leads to one of the files.
func (w *watcher) concerns(event fsnotify.Event) bool {
	if event.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.files, event.Name)
}

// close makes run return, but not wait for it: run itself may have led here.
func (w *watcher) close() { w.notify.Close() }
