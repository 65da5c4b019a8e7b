package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/avro"

	"github.com/postrider/postrider"
)

const evolvedText = `{"type":"record","name":"WebhookEvent","namespace":"com.yotpo.platform.webhookdelivery.messages","fields":[
 {"name":"source","type":["null","string"],"default":null},{"name":"payload","type":"string"},{"name":"event_type","type":"string"},
 {"name":"priority","type":"int","default":3}]}`

type evolved struct {
	Source    *string `avro:"source"`
	Payload   string  `avro:"payload"`
	EventType string  `avro:"event_type"`
	Priority  int     `avro:"priority"`
}

func framed(id int, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

func TestEncodeIsTheProducersSchema(t *testing.T) {
	t.Parallel()
	c, err := newCodec(nil)
	if err != nil {
		t.Fatal(err)
	}
	type written struct {
		EventType string `avro:"event_type"`
		Payload   string `avro:"payload"`
	}
	for _, payload := range []string{"", "x", strings.Repeat("é", 1000)} {
		want, err := avro.MustParse(schemaText).Encode(&written{"a.b", payload})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.encode("a.b", []byte(payload)); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of payload: %x, want %x", len(payload), got, want)
		}
	}
}

// A registry of one evolved schema, one of another kind of record, and one that is away until it is mended.
func testRegistry(t *testing.T, away *atomic.Bool, asked *atomic.Int64) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		text := map[string]string{"/schemas/ids/7": evolvedText, "/schemas/ids/8": `"string"`}[r.URL.Path]
		switch {
		case away.Load():
			w.WriteHeader(http.StatusInternalServerError)
		case text == "":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":40403,"message":"no such schema"}`))
		default:
			_, _ = w.Write([]byte(`{"schema":` + strconv.Quote(text) + `}`))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRegistryResolvesEvolvedSchemas(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	var asked atomic.Int64
	r, err := newRegistry(testRegistry(t, &away, &asked))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	c, err := newCodec(r)
	if err != nil {
		t.Fatal(err)
	}
	l := &EventLog{codec: c}
	body, err := avro.MustParse(evolvedText).Encode(&evolved{Payload: "hello", EventType: "a.b", Priority: 9})
	if err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	if _, _, err := l.schemaOf(t.Context(), framed(7, body)); !errors.Is(err, errRegistry) {
		t.Fatalf("registry away: %v, want a failure that is tried again", err)
	}
	if _, _, err := l.schemaOf(t.Context(), c.encode("a.b", nil)); err != nil {
		t.Fatalf("bare Avro needs no registry: %v", err)
	}
	away.Store(false)
	asked.Store(0)
	for range 3 {
		schema, rest, err := l.schemaOf(t.Context(), framed(7, body))
		if err != nil {
			t.Fatal(err)
		}
		m, err := decode(schema, rest)
		if err != nil || m.EventType != "a.b" || string(m.Payload) != "hello" {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want once", asked.Load())
	}
	for _, id := range []int{8, 9} {
		var refused *refusal
		if _, _, err := l.schemaOf(t.Context(), framed(id, body)); !errors.As(err, &refused) || refused.reason != deadSchema {
			t.Errorf("schema %d: %v, want a dead letter", id, err)
		}
	}
}

func TestLeftOverBytesAreAnError(t *testing.T) {
	t.Parallel()
	c, err := newCodec(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := c.encode("a.b", []byte("x"))
	if _, err := decode(c.reader, append(b, 0)); !errors.Is(err, errLeftOver) {
		t.Errorf("one byte more: %v", err)
	}
	for n := range b {
		if _, err := decode(c.reader, b[:n]); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	c, err := newCodec(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.encode("a.b", []byte("{}")))
	f.Add(framed(1, c.encode("a.b", []byte{0xff})))
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, value []byte) {
		_, body, _, err := frame(value)
		if err != nil {
			return
		}
		m, err := decode(c.reader, body)
		if err != nil {
			return
		}
		again, err := decode(c.reader, c.encode(m.EventType, m.Payload))
		if err != nil || again.EventType != m.EventType || !bytes.Equal(again.Payload, m.Payload) || again.Payload == nil {
			t.Fatalf("%x: %+v, then %+v, %v", value, m, again, err)
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("0-1-2")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePosition(postrider.Position(s))
		if err == nil && string(p.position()) != s {
			t.Errorf("%q reads as %+v, which is %q", s, p, p.position())
		}
	})
}
