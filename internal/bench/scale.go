package bench

import "time"

const (
	matched  = "postrider_events_matched_total"
	underWay = "postrider_consumer_batches" // read, and not yet durable in queue and outcome log

	scaleToReach   = 1.8
	scaleEvents    = 4000
	scaleAnswer    = 100 * time.Millisecond
	consumerEvents = 20_000
)

// scale compares two dispatchers with one, of targets that answer slowly, and two consumers with one.
func scale(r *run) error {
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	if err := sink.mode(scaleAnswer, 0); err != nil {
		return err
	}
	one, err := r.bulk(sink, s, scaleEvents, 1)
	if err != nil {
		return err
	}
	if _, err := s.add("dispatcher"); err != nil {
		return err
	}
	two, err := r.bulk(sink, s, scaleEvents, 1)
	if err != nil {
		return err
	}
	r.atLeast("two dispatchers ÷ one, answers after 100 ms", two.rate/one.rate, "ratio", scaleToReach)
	r.figure("one dispatcher", one.rate, "/s")
	if err := sink.mode(0, 0); err != nil {
		return err
	}
	if err := r.consumers(sink, s); err != nil {
		return err
	}
	s.stop()
	return nil
}

// consumers compares two consumers with one: how long they take to match and queue what was published while there was none. The
// dispatchers send it meanwhile.
func (r *run) consumers(sink *remoteSink, s *system) error {
	var rates [2]float64
	for i := range rates {
		s.end("consumer")
		m, err := r.send(sink, load{to: s.endpoint(), eventType: r.kind, publishers: 2, payload: newPayload(benchSize), most: consumerEvents, batch: batchSize}, 1)
		if err != nil {
			return err
		}
		if rates[i], err = s.catchUp(i+1, int(m.sent.count)); err != nil {
			return err
		}
		if err := r.received(sink, m); err != nil {
			return err
		}
		r.tell("%d consumers: %.0f events/s", i+1, rates[i])
	}
	r.figure("two consumers ÷ one, a backlog on all partitions", rates[1]/rates[0], "ratio")
	r.figure("one consumer", rates[0], "/s")
	return nil
}

// catchUp starts consumers, and measures from the first event that they read to the last that is durable in the queue and the
// outcome log. Matching alone says little: it may be thousands of events ahead.
func (s *system) catchUp(consumers, events int) (rate float64, err error) {
	for range consumers {
		if _, err := s.add("consumer"); err != nil {
			return 0, err
		}
	}
	begun := time.Now()
	early := s.metric(matched) // by the first, while the second started
	if early == 0 {
		if begun, err = s.watch("the first event", func(m metrics) bool { return m.sum(matched) > 0 }); err != nil {
			return 0, err
		}
	}
	_, err = s.watch("the last event", func(m metrics) bool { return m.sum(matched) >= float64(events) && m.sum(underWay) == 0 })
	return (float64(events) - early) / time.Since(begun).Seconds(), err
}

// bulk publishes events by batch and waits for their deliveries.
func (r *run) bulk(sink *remoteSink, s *system, events, fan int, used ...func() (usage, bool)) (*measured, error) {
	l := load{to: s.endpoint(), eventType: r.kind, publishers: 2, payload: newPayload(benchSize), most: events, batch: batchSize}
	m, err := r.measure(sink, l, fan, used...)
	if m != nil {
		m.rate = float64(m.tally.Distinct) / m.tally.LastNew.Sub(m.tally.First).Seconds()
		r.tell("delivered %.0f/s", m.rate)
	}
	return m, err
}
