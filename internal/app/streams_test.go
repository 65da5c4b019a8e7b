package app

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStreams has the connection that holds the most give way, and none while there is room.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := &streams{by: map[*bundle]struct{}{}}
	conns := make([]*bundle, 3)
	for i := range conns {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		conns[i] = &bundle{conn: here}
	}
	for _, c := range []struct {
		bundle int
		bytes  int64
	}{{0, 10}, {1, streamBytes / 2}, {2, streamBytes / 4}, {0, 10}} {
		if most := s.enter(conns[c.bundle], c.bytes); most != nil {
			t.Fatalf("%v is to be closed although there is room", c)
		}
	}
	if most := s.enter(conns[2], streamBytes/3); most != conns[2].conn {
		t.Error("it is not the connection that holds the most that is to be closed")
	}
	s.leave(conns[2], streamBytes/3)
	s.leave(conns[2], streamBytes/4)
	if most := s.enter(conns[0], streamBytes/2); most != conns[0].conn {
		t.Error("a connection that came to hold the most stays")
	}
	s.leave(conns[0], streamBytes/2)
	s.leave(conns[1], streamBytes/2)
	s.leave(conns[0], 10)
	s.leave(conns[0], 10)
	if s.held != 0 || len(s.by) != 0 {
		t.Errorf("%d bytes are held by %d connections that hold nothing", s.held, len(s.by))
	}
}

// TestStreamsCountHeads counts what a request by HTTP/2 holds, for as long as it is served, and nothing of one by HTTP/1.
func TestStreamsCountHeads(t *testing.T) {
	t.Parallel()
	for major, want := range map[int]int64{1: 0, 2: streamCost + 1000} {
		s := &streams{by: map[*bundle]struct{}{}}
		held := int64(-1)
		s.next = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { held = s.held })
		r := httptest.NewRequestWithContext(withBundle(context.Background(), nil), http.MethodGet, "/", nil)
		r.ProtoMajor, r.Host = major, ""
		r.Header.Set("X", strings.Repeat("x", 998)) // and one each of the name and the path
		s.ServeHTTP(httptest.NewRecorder(), r)
		if held != want || s.held != 0 {
			t.Errorf("HTTP/%d: %d bytes held, want %d; %d afterwards", major, held, want, s.held)
		}
	}
}
