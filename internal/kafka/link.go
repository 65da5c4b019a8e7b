package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// firstTry is how long an opening waits for the brokers before it leaves the rest to the background.
const firstTry = 5 * time.Second

// link sees to what a log needs of Kafka before it works: tries once, then in the background until it is there, so that a
// broker that is away at the start is waited for.
type link struct {
	ready  chan struct{} // closed once it is there
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex
	err error // of the last try
}

// newLink tries once. An error that time does not mend is returned; after any other the tries go on.
func newLink(ctx context.Context, log *slog.Logger, topic string, try func(context.Context) error) (*link, error) {
	l := &link{ready: make(chan struct{}), cancel: func() {}}
	first, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	err := try(first)
	switch {
	case err == nil:
		close(l.ready)
		return l, nil
	case postrider.CodeOf(err) != postrider.CodeUnavailable || ctx.Err() != nil:
		return nil, err
	}
	l.err = err
	log.Warn("Kafka is away; the process starts without it and goes on trying", "topic", topic, "error", err)
	var work context.Context
	work, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.done.Go(func() { l.keepOn(work, log, topic, try) })
	return l, nil
}

func (l *link) keepOn(ctx context.Context, log *slog.Logger, topic string, try func(context.Context) error) {
	var pause steady.Backoff
	for steady.Sleep(ctx, pause.Next()) {
		bounded, cancel := context.WithTimeout(ctx, topicTimeout)
		err := try(bounded)
		cancel()
		l.mu.Lock()
		changed := err != nil && err.Error() != l.err.Error()
		l.err = err
		l.mu.Unlock()
		switch {
		case err == nil:
			close(l.ready)
			log.Info("Kafka is there", "topic", topic)
			return
		case changed && ctx.Err() == nil:
			log.Warn("Kafka is still away", "topic", topic, "error", err)
		}
	}
}

// check is nil once what is needed is there, else a CodeUnavailable that says what is missing.
func (l *link) check() error {
	select {
	case <-l.ready:
		return nil
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil { // it is being closed right now
		return nil
	}
	return unavailable("not connected yet", l.err)
}

func (l *link) close() {
	l.cancel()
	l.done.Wait()
}

// dialing remembers why the last connection could not be made, which the client's own errors do not tell.
type dialing struct {
	mu  sync.Mutex
	err error
}

var _ kgo.HookBrokerConnect = (*dialing)(nil)

// OnBrokerConnect notes the end of a dial.
func (d *dialing) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// explain joins an error with the reason for which no connection could be made, if that is why. Credentials that are refused
// are told as such.
func (d *dialing) explain(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil || d.err == nil || errors.Is(err, d.err) {
		return err
	}
	if refusal := credentials(d.err); refusal != nil {
		return refusal
	}
	return errors.Join(err, d.err)
}
