package wire

import (
	"encoding/binary"
	"slices"
	"time"
)

// writer appends to b.
type writer struct {
	b      []byte
	start  int // of this value in b
	labels []string
	tail   [][]byte
}

func newWriter(dst []byte, kind byte) *writer {
	return &writer{b: append(dst, version, kind, 0, 0, 0, 0), start: len(dst)}
}

// end writes the head's length and the tail.
func (w *writer) end() []byte {
	binary.LittleEndian.PutUint32(w.b[w.start+2:], uint32(len(w.b)-w.start-prefix))
	for _, part := range w.tail {
		w.b = append(w.b, part...)
	}
	return w.b
}

// late writes the length of b here and its bytes into the tail.
func (w *writer) late(b []byte) {
	w.count(len(b))
	w.tail = append(w.tail, b)
}

func (w *writer) byte(c byte)   { w.b = append(w.b, c) }
func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) count(n int)   { w.uint(uint64(max(n, 0))) }

func (w *writer) string(s string) {
	w.count(len(s))
	w.b = append(w.b, s...)
}

// label writes a string that is likely to repeat: 0 and the string the first time, its place in the table later.
func (w *writer) label(s string) {
	if i := slices.Index(w.labels, s); i >= 0 {
		w.uint(uint64(i) + 1)
		return
	}
	w.uint(0)
	w.string(s)
	if len(w.labels) < maxLabels {
		w.labels = append(w.labels, s)
	}
}

// time writes t in units since base: 0 for the zero time, else one more than the zigzag form of the difference.
func (w *writer) time(t time.Time, u unit, base int64) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	d := u.of(t) - base
	w.uint(uint64(d)<<1 ^ uint64(d>>63) + 1)
}

// unit is the precision of a time.
type unit int64

const (
	millis unit = 1
	micros unit = 1000
)

// of is t in units since 1970, within the bounds.
func (u unit) of(t time.Time) int64 {
	ms := min(max(t.UnixMilli(), -maxMillis), maxMillis)
	if u == millis {
		return ms
	}
	return ms*1000 + int64(t.Nanosecond()/1000%1000)
}

// time is the time n units after 1970.
func (u unit) time(n int64) time.Time {
	if u == millis {
		return time.UnixMilli(n).UTC()
	}
	return time.UnixMicro(n).UTC()
}
