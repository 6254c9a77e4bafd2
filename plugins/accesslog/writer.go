package accesslog

import (
	"os"
	"time"
)

// writer is the goroutine that owns a sink's file.
type writer struct {
	sink     *sink
	file     *os.File
	spare    []byte // empty, changes places with a shard's buffer
	failing  bool   // the last write failed
	lost     uint64 // lines dropped that have been warned of
	lastWarn time.Time
}

// maxSpare is how much an empty buffer may hold: what a stalled disk made grow is let go.
const maxSpare = 1 << 20

// warnEvery is how often lines that were dropped are warned of.
const warnEvery = 10 * time.Second

func (w *writer) run() {
	defer close(w.sink.ended)
	flush := w.sink.settings.Load().flush
	ticker := time.NewTicker(flush)
	defer ticker.Stop()
	for {
		select {
		case <-w.sink.wake:
		case <-ticker.C:
		case <-w.sink.stop:
			w.end()
			return
		}
		w.turn()
		if now := w.sink.settings.Load().flush; now != flush {
			flush = now
			ticker.Reset(flush)
		}
	}
}

// turn writes what is due. Lines from before the file was opened anew go to the old one.
func (w *writer) turn() {
	next := w.sink.next.Swap(nil)
	for i := range w.sink.shards {
		w.write(w.sink.shards[i].take(w.spare))
	}
	w.warnDropped(false)
	if next != nil {
		w.file.Close()
		w.file = next
	}
}

// write writes lines, whose memory becomes the spare buffer.
func (w *writer) write(lines []byte) {
	if len(lines) > 0 {
		_, err := w.file.Write(lines)
		w.noteError(err)
	}
	if cap(lines) > maxSpare {
		lines = nil
	}
	w.spare = lines[:0]
}

// noteError warns of the first of several failures in a row.
func (w *writer) noteError(err error) {
	log := w.sink.settings.Load().log
	switch {
	case err != nil && !w.failing:
		log.Error("access log cannot be written, lines are lost", "path", w.sink.path, "error", err)
	case err == nil && w.failing:
		log.Info("access log can be written again", "path", w.sink.path)
	}
	w.failing = err != nil
}

func (w *writer) warnDropped(last bool) {
	total := w.sink.dropped.Load()
	if total == w.lost || !last && time.Since(w.lastWarn) < warnEvery {
		return
	}
	w.sink.settings.Load().log.Warn("access log cannot keep up, lines were dropped",
		"path", w.sink.path, "lines", total-w.lost)
	w.lost, w.lastWarn = total, time.Now()
}

func (w *writer) end() {
	w.turn()
	w.warnDropped(true)
	if next := w.sink.next.Swap(nil); next != nil {
		next.Close()
	}
	if w.file != os.Stdout && w.file != os.Stderr {
		w.file.Close()
	}
}
