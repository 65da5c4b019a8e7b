package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// place is what a position says: where a record lies, and its timestamp in milliseconds.
type place struct {
	partition int32
	offset    int64
	ms        int64
}

func placeOf(r *kgo.Record) place {
	return place{partition: r.Partition, offset: r.Offset, ms: r.Timestamp.UnixMilli()}
}

// position is "partition-offset-timestamp".
func (p place) position() postrider.Position {
	b := make([]byte, 0, 40)
	b = append(strconv.AppendInt(b, int64(p.partition), 10), '-')
	b = append(strconv.AppendInt(b, p.offset, 10), '-')
	return postrider.Position(strconv.AppendInt(b, max(p.ms, 0), 10))
}

// parsePosition reads what position wrote; anything else is none of this log's.
func parsePosition(at postrider.Position) (place, error) {
	parts := strings.Split(string(at), "-")
	if len(parts) == 3 {
		partition, err1 := strconv.ParseUint(parts[0], 10, 31)
		offset, err2 := strconv.ParseUint(parts[1], 10, 62)
		ms, err3 := strconv.ParseUint(parts[2], 10, 62)
		p := place{partition: int32(partition), offset: int64(offset), ms: int64(ms)}
		if err1 == nil && err2 == nil && err3 == nil && p.position() == at {
			return p, nil
		}
	}
	return place{}, postrider.Errorf(postrider.CodeNotFound, "the events log has no such position")
}

func millis(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }
