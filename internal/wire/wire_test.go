package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

var accepted = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

func event(n int, payload postrider.Payload) *postrider.Event {
	return &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: "acme", Type: "core.orders.created.v1", ContentType: "text/plain",
		AcceptedAt: accepted.Add(time.Duration(n) * time.Second), Position: postrider.Position(fmt.Sprintf("0-%d", n)), Payload: payload,
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
}

func inline(s string) postrider.Payload {
	return postrider.Payload{Size: int64(len(s)), Bytes: []byte(s)}
}

func delivery(e *postrider.Event, target int64) postrider.Delivery {
	return postrider.Delivery{ID: postrider.NewDeliveryID(e, target), Event: e, TargetID: target, Version: 17, Start: e.AcceptedAt}
}

// fanOut is one event for n targets.
func fanOut(n int) *postrider.Pack {
	e := event(1, inline(`{"n":1}`))
	p := &postrider.Pack{Tenant: "acme"}
	for i := range n {
		p.Deliveries = append(p.Deliveries, delivery(e, int64(1e15)+int64(i)))
	}
	return p
}

// retries is n waiting deliveries of one target, each of another event.
func retries(n int) *postrider.Pack {
	p := &postrider.Pack{Tenant: "acme"}
	for i := range n {
		d := delivery(event(i, postrider.Payload{Size: 1000, Key: fmt.Sprintf("acme/2026-03-04/%d", i)}), 1e15)
		d.Attempts, d.Generation, d.Earlier = 3, 1, 2
		d.Start = accepted.Add(time.Hour)
		d.Due = accepted.Add(2 * time.Hour)
		d.LastTry = accepted.Add(90 * time.Minute)
		p.Deliveries = append(p.Deliveries, d)
	}
	return p
}

func packs() map[string]*postrider.Pack {
	logged := event(3, postrider.Payload{Size: 5, Log: true, Bytes: []byte("12345")})
	empty := event(4, postrider.Payload{Bytes: []byte{}})
	bare := &postrider.Event{Tenant: "other"}
	odd := delivery(bare, 0)
	odd.ID[0], odd.Version, odd.Start = 0xff, 1<<63, time.Time{}
	return map[string]*postrider.Pack{
		"none":    {Tenant: "acme"},
		"fan-out": fanOut(100),
		"retries": retries(100),
		"mixed": {Tenant: "acme", Deliveries: []postrider.Delivery{delivery(logged, 5), delivery(empty, 5), delivery(logged, 6), odd,
			delivery(bare, 1<<62)}},
	}
}

// stored is what comes back: bytes in hand besides a durable reference are left out.
func stored(p *postrider.Pack) *postrider.Pack {
	for i := range p.Deliveries {
		if e := p.Deliveries[i].Event; !e.Payload.Inline() {
			e.Payload.Bytes = nil
		}
	}
	return p
}

func TestPackRoundTrip(t *testing.T) {
	t.Parallel()
	for name, p := range packs() {
		b := wire.AppendPack([]byte("before"), p)
		got, err := wire.DecodePack(b[len("before"):])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := stored(p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", name, got, want)
		}
	}
}

func TestPackSharesEvents(t *testing.T) {
	t.Parallel()
	p, err := wire.DecodePack(wire.AppendPack(nil, packs()["mixed"]))
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Deliveries; d[0].Event != d[2].Event || d[3].Event != d[4].Event || d[0].Event == d[1].Event {
		t.Error("the deliveries of one event do not share it")
	}
}

func TestPackIsCompact(t *testing.T) {
	t.Parallel()
	fan := len(wire.AppendPack(nil, fanOut(101))) - len(wire.AppendPack(nil, fanOut(1)))
	if per := fan / 100; per > 20 {
		t.Errorf("a further target takes %d bytes", per)
	}
	if per := len(wire.AppendPack(nil, retries(100))) / 100; per > 140 {
		t.Errorf("a retry takes %d bytes", per)
	}
}

func outcomes() []postrider.Outcome {
	e := event(1, inline("x"))
	fan := postrider.Outcome{Kind: postrider.OutcomeFanOut, At: accepted.Add(1234 * time.Microsecond), Tenant: "acme", Event: e.Head(),
		Targets: []int64{1, 1 << 52}, Off: []int64{7}}
	attempt := postrider.Outcome{Kind: postrider.OutcomeAttempt, At: accepted.Add(time.Second), Tenant: "acme", Event: e.Head(),
		DeliveryID: postrider.NewDeliveryID(e, 1), TargetID: 1, Attempts: 2, Generation: 1, State: postrider.StateRetrying,
		NextAt: accepted.Add(time.Minute), Attempt: &postrider.Attempt{Number: 2, StartedAt: accepted.Add(time.Second), Class: postrider.ClassStatus,
			Duration: 1500 * time.Microsecond, Status: 503, Error: "busy", Head: []byte("try later")}}
	state := postrider.Outcome{Kind: postrider.OutcomeState, Tenant: "acme", Event: event(2, inline("")).Head(), DeliveryID: attempt.DeliveryID,
		TargetID: 1, State: postrider.StateCancelled, Reason: postrider.ReasonTargetOff}
	return []postrider.Outcome{fan, attempt, state, {Kind: postrider.OutcomeFanOut}}
}

func TestOutcomesRoundTrip(t *testing.T) {
	t.Parallel()
	for n := range outcomes() {
		want := outcomes()[:n+1]
		got, err := wire.DecodeOutcomes(wire.AppendOutcomes(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
	}
	if got, err := wire.DecodeOutcomes(wire.AppendOutcomes(nil, nil)); err != nil || len(got) != 0 {
		t.Errorf("no outcomes: %v, %v", got, err)
	}
}

func TestFinerTimesAreCutOff(t *testing.T) {
	t.Parallel()
	p := fanOut(1)
	p.Deliveries[0].Due = accepted.Add(time.Minute + 999*time.Microsecond).In(time.FixedZone("", 3600))
	got, err := wire.DecodePack(wire.AppendPack(nil, p))
	if err != nil {
		t.Fatal(err)
	}
	if due := got.Deliveries[0].Due; due != accepted.Add(time.Minute) {
		t.Errorf("due %v", due)
	}
}

// The bytes of version 1 stand for ever: queues and logs hold them across upgrades.
func TestGolden(t *testing.T) {
	t.Parallel()
	one := packs()["mixed"]
	golden := []struct{ name, want, got string }{
		{"pack", goldenPack, hex.EncodeToString(wire.AppendPack(nil, one))},
		{"outcomes", goldenOutcomes, hex.EncodeToString(wire.AppendOutcomes(nil, outcomes()))},
	}
	for _, g := range golden {
		if g.got != g.want {
			t.Errorf("%s: version 1 is written as\n%s, not as\n%s", g.name, g.got, g.want)
		}
	}
	b, err := hex.DecodeString(goldenPack)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.DecodePack(b); err != nil || !reflect.DeepEqual(got, stored(one)) {
		t.Errorf("read %+v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	pack, out := wire.AppendPack(nil, fanOut(3)), wire.AppendOutcomes(nil, outcomes())
	later := append([]byte{2}, pack[1:]...)
	cases := map[string][]byte{"nothing": nil, "version 0": {0, 1, 0, 0, 0, 0}, "later": later, "one byte": {1},
		"trailing": append(bytes.Clone(pack), 0), "other kind": out, "long head": {1, 1, 255, 255, 255, 255, 0}}
	for i := range pack {
		cases[fmt.Sprint("cut at ", i)] = pack[:i]
	}
	for name, b := range cases {
		_, err := wire.DecodePack(b)
		if postrider.CodeOf(err) != postrider.CodeMalformed {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, wire.ErrVersion) != (name == "later" || name == "version 0") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range out {
		if _, err := wire.DecodeOutcomes(out[:i]); postrider.CodeOf(err) != postrider.CodeMalformed {
			t.Errorf("outcomes cut at %d: %v", i, err)
		}
	}
}

func FuzzDecodePack(f *testing.F) {
	for _, p := range []*postrider.Pack{fanOut(2), retries(2), packs()["mixed"], {}} {
		f.Add(wire.AppendPack(nil, p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.DecodePack(b)
		if err != nil {
			return
		}
		again, err := wire.DecodePack(wire.AppendPack(nil, p))
		if err != nil || !reflect.DeepEqual(stored(p), again) {
			t.Fatalf("read\n%+v, then\n%+v, %v", p, again, err)
		}
	})
}

func FuzzDecodeOutcomes(f *testing.F) {
	f.Add(wire.AppendOutcomes(nil, outcomes()))
	f.Add(wire.AppendOutcomes(nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := wire.DecodeOutcomes(b)
		if err != nil {
			return
		}
		again, err := wire.DecodeOutcomes(wire.AppendOutcomes(nil, o))
		if err != nil || !reflect.DeepEqual(o, again) {
			t.Fatalf("read\n%+v, then\n%+v, %v", o, again, err)
		}
	})
}

func FuzzPackRoundTrip(f *testing.F) {
	f.Add("acme", "evt_1", "a.b", "0-1", []byte("{}"), int64(1), uint64(1), int64(1e12), 3)
	f.Fuzz(func(t *testing.T, tenant, id, eventType, position string, payload []byte, target int64, version uint64, ms int64, attempts int) {
		at := time.UnixMilli(ms % (1 << 50)).UTC()
		e := &postrider.Event{ID: id, Tenant: tenant, Type: eventType, AcceptedAt: at, Position: postrider.Position(position),
			Payload: postrider.Payload{Size: int64(len(payload)), Bytes: append([]byte{}, payload...)}}
		d := delivery(e, target&(1<<62-1))
		d.Version, d.Attempts = version, attempts&0xffff
		want := &postrider.Pack{Tenant: tenant, Deliveries: []postrider.Delivery{d, d}}
		got, err := wire.DecodePack(wire.AppendPack(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%+v, want\n%+v, %v", got, want, err)
		}
	})
}

func BenchmarkDecodePack(b *testing.B) {
	for name, p := range map[string]*postrider.Pack{"fan-out": fanOut(100), "retries": retries(100)} {
		raw := wire.AppendPack(nil, p)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodePack(raw); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/delivery")
		})
	}
}

func BenchmarkAppendPack(b *testing.B) {
	for name, p := range map[string]*postrider.Pack{"fan-out": fanOut(100), "retries": retries(100)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = wire.AppendPack(buf[:0], p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/delivery")
		})
	}
}
