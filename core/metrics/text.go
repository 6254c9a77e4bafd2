package metrics

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Text writes Prometheus' text format.
type Text struct {
	w      *bufio.Writer
	family string
	number []byte
}

// NewText returns a writer onto w. Flush must be called at the end.
func NewText(w io.Writer) *Text { return &Text{w: bufio.NewWriterSize(w, 32<<10)} }

// Family begins the family that the next samples belong to. kind is counter, gauge or histogram.
func (t *Text) Family(name, kind, help string) {
	t.family = name
	t.w.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// Sample writes a value of the family; labels are names and values in turn.
func (t *Text) Sample(value float64, labels ...string) { t.SampleOf("", value, labels...) }

// SampleOf is Sample for a series with a suffix, as a histogram's _bucket.
func (t *Text) SampleOf(suffix string, value float64, labels ...string) {
	t.w.WriteString(t.family)
	t.w.WriteString(suffix)
	before := byte('{')
	for i := 0; i+1 < len(labels); i += 2 {
		t.w.WriteByte(before)
		before = ','
		t.w.WriteString(labels[i])
		t.w.WriteString(`="`)
		labelEscapes.WriteString(t.w, labels[i+1])
		t.w.WriteByte('"')
	}
	if len(labels) > 0 {
		t.w.WriteByte('}')
	}
	t.w.WriteByte(' ')
	t.number = strconv.AppendFloat(t.number[:0], value, 'f', -1, 64)
	t.w.Write(t.number)
	t.w.WriteByte('\n')
}

// Flush writes what is still buffered and returns the first error of any write.
func (t *Text) Flush() error { return t.w.Flush() }
