package consume_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/consume"
	"github.com/postrider/postrider/internal/kafka"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/sqs"
)

// The backlog that both sides work through.
const (
	stackEvents = 3_000
	stackBytes  = 1024
	stackTopic  = "?partitions=4"
)

// stackServers are the real servers that the environment names.
func stackServers(b *testing.B) (broker, endpoint string) {
	b.Helper()
	broker, endpoint = os.Getenv("STACK_KAFKA"), os.Getenv("AWS_ENDPOINT_URL_SQS")
	if broker == "" || endpoint == "" {
		b.Skip("needs Kafka and an SQS-compatible server: set STACK_KAFKA, AWS_ENDPOINT_URL_SQS and AWS credentials")
	}
	return broker, endpoint
}

// BenchmarkConsumerOnKafkaAndSQS holds the consumer (read, match, queue, record the fan-out, commit) against a bare loop that
// polls the same records with franz-go and sends the same payloads with SendMessageBatch, ten at a time. Both begin with the
// same backlog in one run and are measured from the first record that is read to the last that is durable; "ratio" is
// the consumer's events a second by the loop's. The loops with more senders than one show what the SQS server has to give.
func BenchmarkConsumerOnKafkaAndSQS(b *testing.B) {
	broker, endpoint := stackServers(b)
	name := "bench-" + strings.ToLower(rand.Text())
	log, err := kafka.OpenEvents(b.Context(), kafka.EventOptions{URL: "kafka://" + broker + "/" + name + stackTopic})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	fill(b, log)
	for b.Loop() {
		bare := bareLoop(b, broker, name, 1)
		ours := ourConsumer(b, log, broker, endpoint, name)
		b.ReportMetric(ours, "events/s")
		b.ReportMetric(bare, "bare-events/s")
		b.ReportMetric(ours/bare, "ratio")
		b.ReportMetric(bareLoop(b, broker, name, 8), "bare-of-8-events/s")
	}
}

// fill appends the backlog.
func fill(b *testing.B, log postrider.EventLog) {
	b.Helper()
	var commits []*postrider.Commit
	for from := 0; from < stackEvents; from += 500 {
		var events []*postrider.Event
		for i := range 500 {
			body := fmt.Appendf(nil, `{"n": %d, "pad": "`, from+i)
			body = append(body, strings.Repeat("x", stackBytes-len(body)-2)+`"}`...)
			events = append(events, &postrider.Event{ID: fmt.Sprintf("evt_%d", from+i), Tenant: "acme", Type: "core.orders.created.v1",
				Payload: postrider.Payload{Size: int64(len(body)), Bytes: body}})
		}
		commit, err := log.Append(b.Context(), events)
		if err != nil {
			b.Fatal(err)
		}
		commits = append(commits, commit)
	}
	for _, c := range commits {
		if err := c.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// timedEvents notes when the first batch is read, and when all is committed.
type timedEvents struct {
	postrider.EventLog
	first chan time.Time
	done  chan time.Time
}

type timedReader struct {
	postrider.EventReader
	timedEvents
	mu   sync.Mutex
	seen int
}

func (e timedEvents) Reader(ctx context.Context) (postrider.EventReader, error) {
	r, err := e.EventLog.Reader(ctx)
	return &timedReader{EventReader: r, timedEvents: e}, err
}

func (r *timedReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	b, err := r.EventReader.Next(ctx)
	select {
	case r.first <- time.Now():
	default:
	}
	return b, err
}

func (r *timedReader) Commit(b *postrider.EventBatch) {
	r.EventReader.Commit(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen += len(b.Events); r.seen == stackEvents {
		r.done <- time.Now()
	}
}

func (r *timedReader) Close() error { return r.EventReader.Close() }

// ourConsumer returns the consumer's events a second.
func ourConsumer(b *testing.B, log postrider.EventLog, broker, endpoint, name string) float64 {
	b.Helper()
	suffix := strings.ToLower(rand.Text())
	queue, err := sqs.Open(b.Context(), sqs.Options{URL: "sqs://" + name + suffix + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint), Lease: time.Minute, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer queue.Close()
	outcomes, err := kafka.OpenOutcomes(b.Context(), kafka.OutcomeOptions{URL: "kafka://" + broker + "/" + name + suffix + "-outcomes" + stackTopic})
	if err != nil {
		b.Fatal(err)
	}
	defer outcomes.Close()
	again, err := kafka.OpenEvents(b.Context(), kafka.EventOptions{URL: "kafka://" + broker + "/" + name + stackTopic + "&group=" + suffix})
	if err != nil {
		b.Fatal(err)
	}
	defer again.Close()
	w := &world{loadable: make(chan struct{})}
	close(w.loadable)
	w.subscribe("acme", "core.orders.created.v1", on, 1)
	cache := match.New(match.Options{Feed: feed{w}})
	events := timedEvents{EventLog: again, first: make(chan time.Time, 1), done: make(chan time.Time, 1)}
	c := consume.New(consume.Options{Events: events, Queue: queue, Outcomes: outcomes, Cache: cache})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = cache.Run(ctx) })
	running.Go(func() { _ = c.Run(ctx) })
	took := (<-events.done).Sub(<-events.first)
	cancel()
	running.Wait()
	return stackEvents / took.Seconds()
}

// bareLoop returns the events a second of a loop of poll and SendMessageBatch, with a number of senders side by side.
func bareLoop(b *testing.B, broker, topic string, senders int) float64 {
	b.Helper()
	cfg, err := config.LoadDefaultConfig(b.Context(), config.WithRegion("us-east-1"))
	if err != nil {
		b.Fatal(err)
	}
	client := awssqs.NewFromConfig(cfg)
	made, err := client.CreateQueue(b.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("bare-" + strings.ToLower(rand.Text()))})
	if err != nil {
		b.Fatal(err)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	defer consumer.Close()
	batches := make(chan []*kgo.Record)
	var work sync.WaitGroup
	for range senders {
		work.Go(func() {
			for records := range batches {
				sendBatch(b, client, made.QueueUrl, records)
			}
		})
	}
	var first time.Time
	for seen := 0; seen < stackEvents; {
		fetches := consumer.PollFetches(b.Context())
		if first.IsZero() {
			first = time.Now()
		}
		records := fetches.Records()
		seen += len(records)
		for len(records) > 0 {
			n := min(len(records), 10)
			batches <- records[:n]
			records = records[n:]
		}
	}
	close(batches)
	work.Wait()
	return stackEvents / time.Since(first).Seconds()
}

func sendBatch(b *testing.B, client *awssqs.Client, queue *string, records []*kgo.Record) {
	b.Helper()
	in := &awssqs.SendMessageBatchInput{QueueUrl: queue}
	for i, r := range records {
		payload := r.Value[len(r.Value)-stackBytes:]
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(string(payload))})
	}
	out, err := client.SendMessageBatch(b.Context(), in)
	if err != nil || len(out.Failed) > 0 {
		b.Errorf("SendMessageBatch: %v, %d refused", err, len(out.Failed))
	}
}
