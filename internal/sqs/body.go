package sqs

import (
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

// A body is base64 of what package wire writes, whose first byte is the version of the format.
var encoding = base64.RawStdEncoding

// scratch is what an item is encoded in, which is used again.
type scratch struct{ raw, text []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encode writes an item's body.
func encode(item *postrider.Item) string {
	s, _ := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.write(item)
	s.text = encoding.AppendEncode(s.text[:0], s.raw)
	return string(s.text)
}

// write writes what an item's body is base64 of.
func (s *scratch) write(item *postrider.Item) {
	if item.Pack != nil {
		s.raw = wire.AppendPack(s.raw[:0], item.Pack)
	} else {
		s.raw = wire.AppendOutcomes(s.raw[:0], item.Outcomes)
	}
}

// decode reads a body of a lane.
func decode(lane postrider.Lane, body string) (postrider.Item, error) {
	raw, err := encoding.DecodeString(body)
	if err != nil {
		return postrider.Item{}, fmt.Errorf("read a message's base64: %w", err)
	}
	item := postrider.Item{Lane: lane}
	if lane == postrider.LaneOutcomes {
		item.Outcomes, err = wire.DecodeOutcomes(raw)
	} else {
		item.Pack, err = wire.DecodePack(raw)
	}
	if err != nil {
		return postrider.Item{}, fmt.Errorf("read a message: %w", err)
	}
	return item, nil
}

// Fits reports whether an item is within the size that the queue takes; see postrider.Queue.
func (q *Queue) Fits(item *postrider.Item) bool {
	s, _ := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.write(item)
	return encoding.EncodedLen(len(s.raw)) <= q.limits.MaxBytes
}

// tenantOf is the tenant whose message it is, "" for outcomes, which are of many.
func tenantOf(item *postrider.Item) string {
	if item.Pack != nil {
		return item.Pack.Tenant
	}
	return ""
}
