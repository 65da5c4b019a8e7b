package sqs

import (
	"encoding/base64"
	"fmt"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

// A body is base64 of what package wire writes, whose first byte is the version of the format.
var encoding = base64.RawStdEncoding

// encode writes an item's body.
func encode(item *postrider.Item) string {
	if item.Pack != nil {
		return encoding.EncodeToString(wire.AppendPack(nil, item.Pack))
	}
	return encoding.EncodeToString(wire.AppendOutcomes(nil, item.Outcomes))
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
func (q *Queue) Fits(item *postrider.Item) bool { return len(encode(item)) <= q.limits.MaxBytes }

// tenantOf is the tenant whose message it is, "" for outcomes, which are of many.
func tenantOf(item *postrider.Item) string {
	if item.Pack != nil {
		return item.Pack.Tenant
	}
	return ""
}
