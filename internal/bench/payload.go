package bench

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// A payload is JSON that begins with the time at which it was published: {"at":1234567890123456789,"pad":"xxx…"}.
const (
	stampAt     = len(`{"at":`)
	stampDigits = 19
	leastSize   = stampAt + stampDigits + len(`,"pad":""}`)
)

// newPayload makes a payload of a size, without its time.
func newPayload(size int) []byte {
	pad := bytes.Repeat([]byte("x"), max(0, size-leastSize))
	return slices.Concat([]byte(`{"at":0000000000000000000,"pad":"`), pad, []byte(`"}`))
}

// stamped returns a copy of a payload with a time in it.
func stamped(payload []byte, at time.Time) []byte {
	p := bytes.Clone(payload)
	strconv.AppendInt(p[:stampAt], at.UnixNano(), 10)
	return p
}

// stamp reads the time of a payload; zero if it has none.
func stamp(payload []byte) time.Time {
	if len(payload) < leastSize {
		return time.Time{}
	}
	n, err := strconv.ParseInt(string(payload[stampAt:stampAt+stampDigits]), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// percentiles returns percentiles of microseconds, as milliseconds. It sorts them.
func percentiles(micros []uint32, ps ...int) []float64 {
	slices.Sort(micros)
	out := make([]float64, len(ps))
	for i, p := range ps {
		if len(micros) > 0 {
			out[i] = float64(micros[min(len(micros)-1, len(micros)*p/100)]) / 1000
		}
	}
	return out
}

// median returns the middle value.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
