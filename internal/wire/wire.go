// Package wire is the binary form of packs and outcomes in queues, logs and tables.
//
// The first byte is the version, the second the kind. Version 1: numbers are varints; an event stands once, where its
// first delivery or outcome is; labels that repeat (tenant, type, content type, errors) are written once and referred to
// afterwards; payloads and response heads stand behind all else. Times of packs are whole milliseconds, those of outcomes and attempts
// whole microseconds; what is finer is cut off. All times are read as UTC.
//
// A decoder reads every version up to its own and answers ErrVersion to a later one. Decoders never panic, allocate no more
// than a small multiple of their input, and refuse trailing bytes. What they return shares memory with their input, which
// must not be changed afterwards.
package wire

import (
	"encoding/binary"
	"errors"

	"github.com/postrider/postrider"
)

const version = 1

const (
	kindPack     = 1
	kindOutcomes = 2
)

// prefix is the length of version, kind and the head's length. The head holds all but bytes that are copied as they are:
// inline payloads and the heads of responses, which stand in the tail.
const prefix = 6

// ErrVersion is in the chain of the error for bytes that a later version of this package wrote.
var ErrVersion = errors.New("unknown version of the wire format")

// maxLabels bounds the table of shared labels: a label beyond it is written out each time.
const maxLabels = 64

// maxMillis bounds times to what both units hold without overflow (the year 144,683).
const maxMillis = 1 << 52

// flag is a bit of a flags byte.
type flag byte

func (f *flag) set(bit flag, on bool) {
	if on {
		*f |= bit
	}
}

func (f flag) has(bit flag) bool { return f&bit != 0 }

func malformed(what string) error {
	return postrider.Errorf(postrider.CodeMalformed, "malformed %s", what)
}

// open checks version and kind and returns a reader of the head.
func open(b []byte, kind byte, what string) (*reader, error) {
	if len(b) < 1 {
		return nil, malformed(what)
	}
	if b[0] == 0 || b[0] > version {
		return nil, postrider.Errorf(postrider.CodeMalformed, "%s of version %d, up to %d can be read: %w", what, b[0], version, ErrVersion)
	}
	if len(b) < prefix || b[1] != kind {
		return nil, malformed(what)
	}
	n := uint64(binary.LittleEndian.Uint32(b[2:]))
	if n > uint64(len(b)-prefix) {
		return nil, malformed(what)
	}
	end := prefix + int(n)
	return &reader{b: b[:end:end], head: string(b[:end]), tail: b[end:], at: prefix}, nil
}
