package dispatch

import (
	"net/http"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"":                              {},
		"0":                             now,
		"120":                           now.Add(2 * time.Minute),
		"-1":                            {},
		"1.5":                           {},
		"soon":                          {},
		"99999999999999999":             now.Add(postrider.MaxRetryWindow),
		"99999999999999999999999":       {},
		"Sun, 01 Mar 2026 12:10:00 GMT": now.Add(10 * time.Minute),
		"Fri, 01 Mar 2126 12:10:00 GMT": now.Add(postrider.MaxRetryWindow),
		"Sun, 01 Mar 2020 12:10:00 GMT": time.Date(2020, 3, 1, 12, 10, 0, 0, time.UTC),
	} {
		if got := retryAfter(value, now); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Mar 2026 12:10:00 GMT")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if at := retryAfter(value, now); at.After(now.Add(postrider.MaxRetryWindow)) {
			t.Errorf("%q: %v", value, at)
		}
	})
}

func TestWishes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][2]bool{
		"": {}, "disable": {true, false}, "abort-message": {false, true}, " DISABLE ,abort-message": {true, true}, "disabled": {}, "abort": {},
	} {
		disable, abort := wishes(http.Header{"Webhook-Delivery": {value}})
		if [2]bool{disable, abort} != want {
			t.Errorf("%q: %v %v", value, disable, abort)
		}
	}
}

func FuzzWishes(f *testing.F) {
	f.Add("disable, abort-message")
	f.Fuzz(func(t *testing.T, value string) {
		one, other := wishes(http.Header{"Webhook-Delivery": {value}})
		again, once := wishes(http.Header{"Webhook-Delivery": {"x", value}})
		if one != again || other != once {
			t.Errorf("%q reads in two ways", value)
		}
	})
}
