package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

const statsPatience = 2 * time.Second

// queueCollector asks the queue for its counts when metrics are read.
type queueCollector struct {
	queue  postrider.Queue
	logger *slog.Logger

	items, oldest *prometheus.Desc
}

func newQueueCollector(queue postrider.Queue, logger *slog.Logger) *queueCollector {
	return &queueCollector{queue: queue, logger: logger,
		items: prometheus.NewDesc("postrider_queue_items", "Items in the queue, by lane, and whether they are due or delayed.", []string{"lane", "state"}, nil),
		oldest: prometheus.NewDesc("postrider_oldest_undelivered_seconds",
			"How long the oldest item has been due, by what it waits for: first (its first attempt), retry (the retry manager), bulk (another attempt).", []string{"reason"}, nil),
	}
}

// Describe tells what is collected.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.items
	ch <- c.oldest
}

// Collect collects it. A queue that does not answer is left out.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	stats, err := c.queue.Stats(ctx)
	if err != nil {
		c.logger.Debug("the queue's counts can't be read", "error", err)
		return
	}
	for i, s := range stats {
		lane := postrider.Lane(i)
		ch <- prometheus.MustNewConstMetric(c.items, prometheus.GaugeValue, float64(s.Items), lane.String(), "due")
		ch <- prometheus.MustNewConstMetric(c.items, prometheus.GaugeValue, float64(s.Delayed), lane.String(), "delayed")
		if lane != postrider.LaneOutcomes {
			ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, s.Oldest.Seconds(), lane.String())
		}
	}
}
