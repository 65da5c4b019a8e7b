package api

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/postrider/postrider"
)

// firstGrowth is what is held of the budget for a body whose length was not told, before any of it came.
const firstGrowth = 64 << 10

// share is what a request holds of the memory budget.
type share struct {
	c    *call
	held int64
}

// grow makes it n bytes in all. What is held is given back for that moment: a request that is its tenant's only one may be as large
// as the budget, a step of it may not. If n does not fit, nothing is held any more, and the request ends.
func (s *share) grow(n int64) error {
	s.release()
	if !s.c.api.Budget.TryAcquire(s.c.tenant, n) {
		s.c.api.metrics.refused.WithLabelValues("memory").Inc()
		return &postrider.Error{Code: postrider.CodeUnavailable, Message: "too much is being received at the moment", RetryAfter: time.Second}
	}
	s.held = n
	return nil
}

// shrink gives back what is over n bytes.
func (s *share) shrink(n int64) {
	if n < s.held {
		s.c.api.Budget.Release(s.c.tenant, s.held-n)
		s.held = n
	}
}

func (s *share) release() { s.shrink(0) }

// readPayload reads a body of at most limit bytes within the memory budget. What it returns holds the body's share of it.
func (c *call) readPayload(limit int64) ([]byte, *share, error) {
	if c.r.ContentLength > limit {
		c.api.metrics.refused.WithLabelValues("too_large").Inc()
		return nil, nil, postrider.Errorf(postrider.CodeTooLarge, "the body has %d bytes; at most %d are taken", c.r.ContentLength, limit)
	}
	s := &share{c: c}
	body, err := c.readWithin(limit, s.grow)
	if err != nil {
		s.release()
		return nil, nil, err
	}
	s.shrink(int64(cap(body)))
	return body, s, nil
}

// readGrowing reads a body whose length was not told. It asks grow before it holds more.
func readGrowing(r io.Reader, limit int64, grow func(int64) error) ([]byte, error) {
	size := min(firstGrowth, limit)
	if err := grow(size); err != nil {
		return nil, err
	}
	body := make([]byte, 0, size)
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == nil && len(body) == cap(body) {
			body, err = widened(r, body, limit, grow)
		}
		if err == io.EOF { //nolint:errorlint // Read returns it bare
			if len(body) < cap(body)/2 {
				body = bytes.Clone(body) // one that stays must not keep what it does not fill
			}
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// widened doubles the room of a body that fills it, unless it ends there.
func widened(r io.Reader, body []byte, limit int64, grow func(int64) error) ([]byte, error) {
	var next [1]byte
	if _, err := io.ReadFull(r, next[:]); err != nil {
		return body, err
	}
	size := min(2*int64(cap(body)), max(limit, int64(len(body))+1))
	if err := grow(size); err != nil {
		return nil, err
	}
	wide := make([]byte, len(body), size)
	copy(wide, body)
	return append(wide, next[0]), nil
}

// readWithin reads a body, which must come at a fair rate: a client that trickles must not hold memory. grow is asked before so many
// bytes are held.
func (c *call) readWithin(limit int64, grow func(int64) error) ([]byte, error) {
	if err := c.checkCoding(); err != nil {
		return nil, err
	}
	if c.r.ContentLength > limit { // before anything is allocated for it
		return nil, bodyError(&http.MaxBytesError{Limit: limit}, limit)
	}
	deadline := bodyTime + time.Duration(max(c.r.ContentLength, 0)/bodyRate)*time.Second
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(time.Now().Add(deadline)) // not every writer has one
	reader := http.MaxBytesReader(c.w, c.r.Body, limit)
	body, err := readAll(reader, c.r.ContentLength, limit, grow)
	if err != nil {
		return nil, bodyError(err, limit) // the deadline holds on for what the server discards of the body
	}
	_ = control.SetReadDeadline(time.Time{}) // what follows takes its own time
	return body, nil
}

func readAll(r io.Reader, n, limit int64, grow func(int64) error) ([]byte, error) {
	if n < 0 {
		return readGrowing(r, limit, grow)
	}
	if err := grow(n); err != nil {
		return nil, err
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}
