package app

import (
	"context"
	"net"
	"net/http"
	"sync"
)

const (
	maxStreams  = 100      // requests at once on one connection of HTTP/2
	streamBytes = 64 << 20 // what requests by HTTP/2 may hold in all, by this estimate:
	streamCost  = 20 << 10 // besides its head
)

// streams bounds what requests by HTTP/2 hold until their answers are taken. A connection has many, with a head each, and one that takes
// no answers holds them all: where there are too many, the connection that holds the most is closed.
type streams struct {
	next http.Handler

	mu   sync.Mutex
	held int64
	by   map[*bundle]struct{}
}

// bundle are the streams of one connection.
type bundle struct {
	conn net.Conn
	held int64
}

type bundleKey struct{}

// withBundle is a server's ConnContext.
func withBundle(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, bundleKey{}, &bundle{conn: conn})
}

// ServeHTTP holds until the answer is taken, or its time is over.
func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := r.Context().Value(bundleKey{}).(*bundle)
	if r.ProtoMajor < 2 || b == nil {
		s.next.ServeHTTP(w, r)
		return
	}
	n := headSize(r) + streamCost
	if most := s.enter(b, n); most != nil {
		most.Close()
	}
	defer s.leave(b, n)
	s.next.ServeHTTP(w, r)
	_ = http.NewResponseController(w).Flush() // whoever waits for it has gone
}

func headSize(r *http.Request) (n int64) {
	n = int64(len(r.Host) + len(r.RequestURI))
	for name, values := range r.Header {
		for _, v := range values {
			n += int64(len(name) + len(v))
		}
	}
	return n
}

// enter counts a stream, and returns the connection that has to be closed, or nil.
func (s *streams) enter(b *bundle, n int64) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held += n
	b.held += n
	s.by[b] = struct{}{}
	if s.held <= streamBytes {
		return nil
	}
	most := b
	for other := range s.by {
		if other.held > most.held {
			most = other
		}
	}
	return most.conn
}

func (s *streams) leave(b *bundle, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= n
	if b.held -= n; b.held == 0 {
		delete(s.by, b)
	}
}
