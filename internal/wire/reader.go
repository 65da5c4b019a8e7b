package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// reader reads b from at on. The first fault sets bad; what is read afterwards is zero.
type reader struct {
	b      []byte
	head   string // b as a string: the strings read share this one copy
	tail   []byte
	at     int
	labels []string
	bad    bool
}

func (r *reader) left() int { return len(r.b) - r.at }

func (r *reader) fail() { r.bad, r.at = true, len(r.b) }

func (r *reader) byte() byte {
	if r.left() < 1 {
		r.fail()
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	n, size := binary.Uvarint(r.b[r.at:])
	if size <= 0 {
		r.fail()
		return 0
	}
	r.at += size
	return n
}

// int63 reads a number that must not be negative once it is signed.
func (r *reader) int63() int64 {
	n := r.uint()
	if n > math.MaxInt64 {
		r.fail()
		return 0
	}
	return int64(n)
}

// count reads a small number: of attempts, a status.
func (r *reader) count() int {
	n := r.uint()
	if n > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int(n)
}

// length reads how many things follow of which each takes at least size bytes.
func (r *reader) length(size int) int {
	n := r.uint()
	if n > uint64(r.left()/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// fixed reads n bytes.
func (r *reader) fixed(n int) []byte {
	if n > r.left() {
		r.fail()
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

// late reads a length here and that many bytes of the tail. They share memory with the input.
func (r *reader) late() []byte {
	n := r.uint()
	if n > uint64(len(r.tail)) {
		r.fail()
		return nil
	}
	b := r.tail[:n:n]
	r.tail = r.tail[n:]
	return b
}

// end reports whether all was read and nothing was wrong.
func (r *reader) end() bool { return !r.bad && r.at == len(r.b) && len(r.tail) == 0 }

func (r *reader) string() string {
	n := r.length(1)
	r.at += n
	return r.head[r.at-n : r.at]
}

func (r *reader) label() string {
	switch i := r.uint(); {
	case i > uint64(len(r.labels)):
		r.fail()
		return ""
	case i > 0:
		return r.labels[i-1]
	}
	s := r.string()
	if len(r.labels) < maxLabels {
		r.labels = append(r.labels, s)
	}
	return s
}

func (r *reader) time(u unit, base int64) time.Time {
	n := r.uint()
	if n == 0 {
		return time.Time{}
	}
	n--
	d := int64(n>>1) ^ -int64(n&1)
	at := d + base
	wrapped := (at > base) != (d > 0) && d != 0
	if limit := maxMillis * int64(u); wrapped || at < -limit || at >= limit+int64(u) {
		r.fail()
		return time.Time{}
	}
	return u.time(at)
}
