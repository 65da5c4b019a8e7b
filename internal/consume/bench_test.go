package consume_test

import (
	"context"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/consume"
	"github.com/postrider/postrider/internal/match"
)

// Stubs that keep nothing: what is measured is the consumer alone.
type (
	idleReader struct {
		batches chan *postrider.EventBatch
		done    chan struct{}
	}
	idleEvents struct {
		events
		reader idleReader
	}
	idleQueue    struct{ queue }
	idleOutcomes struct{ outcomes }
)

func (e idleEvents) Reader(context.Context) (postrider.EventReader, error) { return e.reader, nil }
func (idleEvents) Limits() postrider.EventLimits                           { return postrider.EventLimits{CheapRead: true} }
func (r idleReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	select {
	case b := <-r.batches:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
func (r idleReader) Commit(*postrider.EventBatch) { r.done <- struct{}{} }
func (idleReader) Close() error                   { return nil }
func (idleQueue) Put(context.Context, ...postrider.Item) (*postrider.Commit, error) {
	return postrider.Committed(), nil
}
func (idleQueue) Limits() postrider.QueueLimits { return postrider.QueueLimits{MaxBytes: 1 << 20} }
func (idleOutcomes) Record(context.Context, []postrider.Outcome) (*postrider.Commit, error) {
	return postrider.Committed(), nil
}

// BenchmarkConsume is what an event costs in batches of 100, each for one target.
func BenchmarkConsume(b *testing.B) {
	w := &world{loadable: make(chan struct{})}
	close(w.loadable)
	w.subscribe("acme", "core.orders.created.v1", on, 1)
	w.cache = match.New(match.Options{Feed: feed{w}})
	log := idleEvents{reader: idleReader{batches: make(chan *postrider.EventBatch), done: make(chan struct{}, 100)}}
	c := consume.New(consume.Options{Events: log, Queue: idleQueue{queue{w}}, Outcomes: idleOutcomes{}, Cache: w.cache})
	ctx, cancel := context.WithCancel(b.Context())
	stopped := make(chan struct{}, 2)
	go func() { _ = w.cache.Run(ctx); stopped <- struct{}{} }()
	go func() { _ = c.Run(ctx); stopped <- struct{}{} }()
	es := make([]*postrider.Event, 100)
	for i := range es {
		es[i] = event(i, "acme", "core.orders.created.v1", 1024)
	}
	b.ReportAllocs()
	for b.Loop() {
		log.reader.batches <- batchOf("0", es...)
		<-log.reader.done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
	cancel()
	<-stopped
	<-stopped
}
