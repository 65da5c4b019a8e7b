package simulation

import (
	"testing"
	"time"
)

// second is a moment of a test, from its begin on.
func second(n float64) time.Time {
	return time.Unix(0, 0).Add(time.Duration(n * float64(time.Second)))
}

func crashAt(n float64) upheaval { return upheaval{from: second(n), until: second(n), twins: true} }

func slowFrom(n, until float64) upheaval {
	return upheaval{from: second(n), until: second(until), disk: true}
}

// TestHits holds the bound of copies against what a crash finds of a delivery.
func TestHits(t *testing.T) {
	t.Parallel()
	e := &published{at: second(0), until: second(0)}
	timedOut := arrival{attempt: 1, from: second(0), until: second(5)}
	retried := arrival{attempt: 2, from: second(7), until: second(7)}
	for name, test := range map[string]struct {
		upheavals []upheaval
		list      []arrival
		want      int
	}{
		"the disk is slow alone":                    {[]upheaval{slowFrom(4, 12)}, []arrival{timedOut, retried}, 0},
		"read again, and in hand":                   {[]upheaval{crashAt(1)}, []arrival{timedOut}, 2},
		"in hand":                                   {[]upheaval{crashAt(4)}, []arrival{timedOut}, 1},
		"in hand, and long removed from its lane":   {[]upheaval{crashAt(9)}, []arrival{timedOut, retried}, 1},
		"in hand, and not yet removed from a lane":  {[]upheaval{slowFrom(4, 12), crashAt(9)}, []arrival{timedOut, retried}, 2},
		"in hand for the first time, on a slow one": {[]upheaval{slowFrom(4, 12), crashAt(9)}, []arrival{timedOut}, 1},
		"all is over":                               {[]upheaval{slowFrom(4, 12), crashAt(60)}, []arrival{timedOut, retried}, 0},
	} {
		w := &world{upheavals: test.upheavals}
		if got := w.hits(e, test.list); got != test.want {
			t.Errorf("%s: %d hits, want %d", name, got, test.want)
		}
	}
}

// TestForgotten has a message excused of which the API knows nothing only where a crash undid what was known, and the place has changed.
func TestForgotten(t *testing.T) {
	t.Parallel()
	e := &published{eventType: "a.b", at: second(0), until: second(0)}
	sent := arrival{attempt: 1, from: second(0), until: second(0)}
	wanting := face{patterns: []string{"a.*"}}
	changed := []face{wanting, {begun: second(0), done: second(1)}}
	for name, test := range map[string]struct {
		upheavals []upheaval
		faces     []face
		want      bool
	}{
		"a crash, and it is wanted no more":        {[]upheaval{crashAt(1)}, changed, true},
		"a crash, while the disk is slow":          {[]upheaval{slowFrom(0, 20), crashAt(9)}, changed, true},
		"it is still wanted":                       {[]upheaval{crashAt(1)}, []face{wanting}, false},
		"no crash":                                 {[]upheaval{slowFrom(0, 20)}, changed, false},
		"a crash when all had long become durable": {[]upheaval{crashAt(9)}, changed, false},
	} {
		w := &world{upheavals: test.upheavals}
		if got := w.forgotten(&place{faces: test.faces}, e, sent); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestExcused has an outcome excused that a crash undid before it was tried again, and none that had the time for it.
func TestExcused(t *testing.T) {
	t.Parallel()
	taken := arrival{attempt: 3, from: second(0), until: second(0)}
	broken := upheaval{from: second(0), until: second(13), disk: true, twins: true}
	for name, test := range map[string]struct {
		upheavals []upheaval
		want      bool
	}{
		"a crash before it is tried again": {[]upheaval{broken, crashAt(16.5)}, true},
		"a crash long after":               {[]upheaval{broken, crashAt(30)}, false},
		"no crash":                         {[]upheaval{broken}, false},
	} {
		w := &world{upheavals: test.upheavals}
		if got := w.excused(taken); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
