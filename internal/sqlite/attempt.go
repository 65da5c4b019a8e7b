package sqlite

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/postrider/postrider"
)

// appendAttempt writes an attempt: the version of the form, then numbers as varints and texts with their lengths.
func appendAttempt(b []byte, a *postrider.Attempt) []byte {
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(a.Number))
	b = binary.AppendVarint(b, a.StartedAt.UnixMicro())
	b = binary.AppendVarint(b, a.Duration.Microseconds())
	b = binary.AppendUvarint(b, uint64(a.Status))
	for _, s := range [...]string{string(a.Class), a.Error, string(a.Head)} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

var errAttempt = errors.New("an attempt can't be read")

func decodeAttempt(b []byte) (postrider.Attempt, error) {
	var a postrider.Attempt
	if len(b) == 0 || b[0] != 1 {
		return a, errAttempt
	}
	b = b[1:]
	var numbers [4]int64
	for i := range numbers {
		var n int
		if i == 1 || i == 2 {
			numbers[i], n = binary.Varint(b)
		} else {
			var u uint64
			u, n = binary.Uvarint(b)
			numbers[i] = int64(u)
		}
		if n <= 0 {
			return a, errAttempt
		}
		b = b[n:]
	}
	var texts [3]string
	for i := range texts {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return a, errAttempt
		}
		texts[i], b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	a = postrider.Attempt{Number: int(numbers[0]), StartedAt: time.UnixMicro(numbers[1]).UTC(), Duration: time.Duration(numbers[2]) * time.Microsecond,
		Status: int(numbers[3]), Class: postrider.Class(texts[0]), Error: texts[1]}
	if texts[2] != "" {
		a.Head = []byte(texts[2])
	}
	return a, nil
}
