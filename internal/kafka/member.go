package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// commitInterval and commitRecords say when offsets are committed, maxUncommitted and commitWindow how far what is handed out may be
// ahead of them, while Kafka is slow to take them: what is between is read again after a crash.
const (
	commitInterval = 500 * time.Millisecond
	commitRecords  = 500
	commitTimeout  = 5 * time.Second
	maxUncommitted = 1000        // offsets of a partition
	commitWindow   = time.Second // then a partition waits
	pollRecords    = 2000
	minShare       = 64 << 10
	adjustPause    = time.Second
)

// memberOptions say what a member of a group does with the records it is assigned.
type memberOptions struct {
	topic      string
	group      string
	fromLatest bool  // a new group begins at the latest
	buffer     int64 // bytes of records read ahead, in all
	revokeWait time.Duration
	log        *slog.Logger
	metrics    *metrics

	// decode makes of the first n of some consecutive records of a partition what Next returns; nil if these were skipped.
	// After an error it is called again. It runs in the partition's goroutine and may block until ctx ends, which means that
	// the partition is taken away.
	decode func(ctx context.Context, p *part, records []*kgo.Record, gap *gap) (value any, n int, err error)

	// start says from where a partition is read, in place of the committed offset; nil: from that.
	start func(ctx context.Context, partition int32) (kgo.Offset, error)
}

// gap is a hole in a partition.
type gap struct {
	from, to int64
	count    int64 // -1: unknown
	recorded bool
}

// member is a member of a consumer group. Its partitions are worked on in parallel and meet in one channel.
type member struct {
	memberOptions
	client *kgo.Client
	admin  *admin

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	work   sync.WaitGroup
	out    chan *item
	errs   chan error
	nudge  chan struct{}
	once   sync.Once
	left   error // of close

	buffered atomic.Int64
	room     chan struct{} // a signal that buffered fell
	commits  sync.Mutex    // one commit at a time

	count atomic.Int64 // of parts

	mu     sync.Mutex
	parts  map[int32]*part
	mark   string          // of the topic, once known; goes with committed offsets
	handed map[int32]int64 // up to where partitions that have gone were handed on
	former map[int32]int64 // where a topic that was made anew was read to
}

// item is what a partition hands to Next.
type item struct {
	part  *part
	value any
	mark  *mark // nil: nothing is to be committed for it
	at    int64 // without a mark: the partition's next offset; the item is void once that has moved
}

// join makes a member and begins to read.
func join(opts []kgo.Opt, o memberOptions) (*member, error) {
	m := &member{memberOptions: o, out: make(chan *item), errs: make(chan error, 1), nudge: make(chan struct{}, 1),
		room: make(chan struct{}, 1), parts: make(map[int32]*part), handed: make(map[int32]int64)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	made := make(chan struct{}) // the client calls back before NewClient has returned
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumerGroup(o.group),
		kgo.ConsumeTopics(o.topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), // adjust decides
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // read twice rather than skip
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, topics map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-made
			return m.adjust(ctx, topics)
		}),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
		kgo.SessionTimeout(20*time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(int32(min(max(o.buffer/8, 1<<20), 50<<20))),
		kgo.FetchMaxPartitionBytes(int32(min(max(o.buffer/32, 1<<20), 16<<20))),
	)...)
	if err != nil {
		m.cancel()
		return nil, err
	}
	m.client, m.admin = client, newAdmin(client)
	close(made)
	m.work.Go(m.poll)
	m.work.Go(m.commitLoop)
	m.work.Go(m.measureLoop)
	return m, nil
}

// next returns the next item of any partition.
func (m *member) next(ctx context.Context) (*item, error) {
	if m.ctx.Err() != nil {
		return nil, errClosed()
	}
	for {
		select {
		case i := <-m.out:
			if i.part.take(i) {
				return i, nil
			}
		case err := <-m.errs:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-m.ctx.Done():
			return nil, errClosed()
		}
	}
}

// poll gives records to their partitions. No partition comes or goes between a poll and AllowRebalance.
func (m *member) poll() {
	for m.ctx.Err() == nil {
		if !m.waitRoom() {
			return
		}
		fetches := m.client.PollRecords(m.ctx, pollRecords)
		if fetches.IsClientClosed() {
			m.client.AllowRebalance()
			return
		}
		fetches.EachPartition(func(t kgo.FetchTopicPartition) { m.give(t.FetchPartition) })
		m.client.AllowRebalance()
		anew := false
		fetches.EachError(func(_ string, _ int32, err error) {
			if anew = anew || errors.Is(err, kerr.UnknownTopicID); !errors.Is(err, kerr.UnknownTopicID) {
				m.fault(err)
			}
		})
		if anew && m.ctx.Err() == nil {
			m.renew()
		}
	}
}

func (m *member) give(f kgo.FetchPartition) {
	m.mu.Lock()
	p := m.parts[f.Partition]
	m.mu.Unlock()
	if p != nil {
		p.give(f)
	}
}

// fault tells Next of an error that time alone may not mend.
func (m *member) fault(err error) {
	var loss *kgo.ErrDataLoss
	switch {
	case m.ctx.Err() != nil || errors.Is(err, context.Canceled):
		return
	case errors.As(err, &loss):
		m.log.Error("Kafka lost records that were read; reading on from what is left", "partition", loss.Partition,
			"read_to", loss.ConsumedTo, "reset_to", loss.ResetTo)
	}
	m.metrics.failed("fetch")
	select {
	case m.errs <- unavailable("reading topic "+m.topic, err):
	default:
	}
}

// waitRoom waits until there is room for more records; the group's sessions go on meanwhile.
func (m *member) waitRoom() bool {
	for m.buffered.Load() > m.buffer/2 {
		select {
		case <-m.room:
		case <-m.ctx.Done():
			return false
		}
	}
	return true
}

// share is how many bytes a partition holds before its fetching is paused. Together they stay within the buffer.
func (m *member) share() int64 { return max(m.buffer/2/max(m.count.Load(), 2), minShare) }

func (m *member) freed(n int64) {
	m.buffered.Add(-n)
	select {
	case m.room <- struct{}{}:
	default:
	}
}

// close commits what is dealt with, leaves the group, and ends the partitions' goroutines.
func (m *member) close() error {
	m.once.Do(func() {
		m.left = m.commit(context.Background(), m.all())
		m.cancel()
		m.client.CloseAllowingRebalance()
		for _, p := range m.all() {
			m.drop(p)
		}
		m.work.Wait()
	})
	return m.left
}

func (m *member) all() []*part {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*part, 0, len(m.parts))
	for _, p := range m.parts {
		list = append(list, p)
	}
	return list
}

// partitionName is what the domain sees.
func partitionName(n int32) string { return formatInt(int64(n)) }
