package dispatch

import (
	"net/http"
	"strconv"
	"time"

	"github.com/postrider/postrider"
)

// retryAfter reads the header of that name, seconds or a date; zero if there is none that makes sense.
func retryAfter(value string, now time.Time) time.Time {
	if value == "" {
		return time.Time{}
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		most := uint64(postrider.MaxRetryWindow / time.Second)
		return now.Add(time.Duration(min(seconds, most)) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return time.Time{}
	}
	if latest := now.Add(postrider.MaxRetryWindow); at.After(latest) {
		return latest
	}
	return at
}
