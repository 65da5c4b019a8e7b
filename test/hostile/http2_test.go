package hostile

import (
	"bytes"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is one connection of a receiver that speaks HTTP/2 by hand.
type h2 struct {
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	writing sync.Mutex // held by whoever answers: a client may ask on one connection again
}

// speaking makes a deed of what is to be done with each request, one after the other. It reads on for ever, so that the client can write.
func speaking(settings []http2.Setting, do func(s *h2, stream uint32)) deed {
	return func(c net.Conn, _ <-chan struct{}) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		s := &h2{Framer: http2.NewFramer(c, c)}
		s.encoder = hpack.NewEncoder(&s.block)
		if s.WriteSettings(settings...) != nil {
			return
		}
		for {
			f, err := s.ReadFrame()
			if err != nil {
				return
			}
			if f.Header().Type == http2.FrameHeaders {
				go s.answer(do, f.Header().StreamID) // the connection's end ends it
			}
		}
	}
}

func (s *h2) answer(do func(s *h2, stream uint32), stream uint32) {
	s.writing.Lock()
	defer s.writing.Unlock()
	do(s, stream)
}

// fields encodes header fields.
func (s *h2) fields(pairs ...string) []byte {
	s.block.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // a Buffer takes all
	}
	return s.block.Bytes()
}

func h2Resets(code http2.ErrCode) deed {
	return speaking(nil, func(s *h2, stream uint32) { _ = s.WriteRSTStream(stream, code) })
}

// h2GoesAway says that the request was not looked at; a client may try again on another connection, where it meets the same.
func h2GoesAway(code http2.ErrCode) deed {
	return speaking(nil, func(s *h2, _ uint32) { _ = s.WriteGoAway(0, code, nil) })
}

// h2ResetsInBody answers 200, begins a body, and resets the stream.
func h2ResetsInBody() deed {
	return speaking(nil, func(s *h2, stream uint32) {
		_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: s.fields(":status", "200"), EndHeaders: true})
		_ = s.WriteData(stream, false, []byte("begin"))
		_ = s.WriteRSTStream(stream, http2.ErrCodeInternal)
	})
}

// h2EndlessHead sends CONTINUATION frames for ever.
func h2EndlessHead() deed {
	return speaking(nil, func(s *h2, stream uint32) {
		block := append([]byte(nil), s.fields(":status", "200")...)
		if s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block}) != nil {
			return
		}
		for {
			if s.WriteContinuation(stream, false, s.fields("x-filler", string(bytes.Repeat([]byte("x"), 8<<10)))) != nil {
				return
			}
		}
	})
}

// h2EndlessBody sends data for ever, against flow control too.
func h2EndlessBody() deed {
	return speaking(nil, func(s *h2, stream uint32) {
		if s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: s.fields(":status", "200"), EndHeaders: true}) != nil {
			return
		}
		for chunk := make([]byte, 16<<10); ; {
			if s.WriteData(stream, false, chunk) != nil {
				return
			}
		}
	})
}

// h2Silent never lets a body come: its window is shut; and it answers nothing.
func h2Silent() deed {
	return speaking([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, func(*h2, uint32) {})
}

// h2Pings sends PING and SETTINGS frames for ever instead of an answer.
func h2Pings() deed {
	return speaking(nil, func(s *h2, _ uint32) {
		for {
			if s.WritePing(false, [8]byte{}) != nil || s.WriteSettings() != nil {
				return
			}
		}
	})
}

// h2Garbage sends bytes that are no frame.
func h2Garbage() deed {
	return func(c net.Conn, _ <-chan struct{}) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err == nil {
			_, _ = c.Write(bytes.Repeat([]byte("not a frame "), 1000)) // it may be cut off
		}
	}
}

// h2NoStreams takes no stream at all.
func h2NoStreams() deed {
	return speaking([]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, func(*h2, uint32) {})
}
