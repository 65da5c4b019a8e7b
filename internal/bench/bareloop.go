package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const bareBatch = 10 // messages that SQS takes in a request

// ends tells where the partitions of the events end.
func (a *apart) ends(ctx context.Context) (map[int32]kgo.Offset, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(a.events.brokers...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	list, err := kadm.NewClient(client).ListEndOffsets(ctx, a.events.name)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where the events end: %w", err)
	}
	return list.KOffsets()[a.events.name], nil
}

// bareLoop polls n events and sends each one's payload as a message, ten a request, into a queue of its own; what was polled is
// sent by so many senders side by side, then its offsets are committed. It matches, packs and records nothing. It returns
// events a second, from the first poll that brings any to the last commit, as the consumer is measured.
func (a *apart) bareLoop(ctx context.Context, from map[int32]kgo.Offset, n, senders int) (rate float64, err error) {
	name := fmt.Sprintf("%s-bare%d", a.queue, senders)
	queue, err := a.sqs.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		return 0, fmt.Errorf("making the queue of the bare loop: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(a.events.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{a.events.name: from}))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var begun time.Time
	for seen := 0; seen < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("polling: %w", err)
		}
		if begun.IsZero() {
			begun = time.Now()
		}
		seen += fetches.NumRecords()
		if err := a.sendAll(ctx, *queue.QueueUrl, fetches.Records(), senders); err != nil {
			return 0, err
		}
		if err := admin.CommitAllOffsets(ctx, name, kadm.OffsetsFromFetches(fetches)); err != nil {
			return 0, fmt.Errorf("committing offsets: %w", err)
		}
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// sendAll sends records, and returns when all are acknowledged.
func (a *apart) sendAll(ctx context.Context, queue string, records []*kgo.Record, senders int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	for batch := range slices.Chunk(records, bareBatch) {
		group.Go(func() error { return a.sendBatch(ctx, queue, batch) })
	}
	return group.Wait()
}

func (a *apart) sendBatch(ctx context.Context, queue string, records []*kgo.Record) error {
	in := &awssqs.SendMessageBatchInput{QueueUrl: &queue}
	for i, r := range records {
		payload := r.Value[max(0, len(r.Value)-benchSize):] // it is the last field of the Avro
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(payload))})
	}
	out, err := a.sqs.SendMessageBatch(ctx, in)
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if len(out.Failed) > 0 {
		return fmt.Errorf("sending: %d of %d messages were refused: %s", len(out.Failed), len(records), aws.ToString(out.Failed[0].Message))
	}
	return nil
}
