package bench

const (
	batchSize    = 100 // events a request
	batchToReach = 5
	nobodyType   = "bench.nobody.v1"
)

// batch compares intake by batch with single intake, of a type that nobody subscribes to.
func batch(r *run) error {
	s, err := r.serve()
	if err != nil {
		return err
	}
	single := load{to: s.endpoint(), eventType: nobodyType, publishers: publishers, payload: newPayload(benchSize), most: mostEvents, duration: r.Duration}
	packed := single
	packed.batch, packed.publishers = batchSize, publishers/4
	var ratios, singly, batched []float64
	for i := range pairs + 1 {
		single.run, packed.run = "single", "batch"
		a, b := publish(r.ctx, single), publish(r.ctx, packed)
		for _, sent := range []*sent{a, b} {
			r.add(Ledger{Refused: sent.refused.Load(), Failed: sent.failed.Load()})
		}
		one, many := float64(a.count)/a.took.Seconds(), float64(b.count)/b.took.Seconds()
		r.tell("accepted %.0f/s singly, %.0f/s by batch", one, many)
		if i > 0 && one > 0 {
			ratios, singly, batched = append(ratios, many/one), append(singly, one), append(batched, many)
		}
	}
	r.atLeast("accepted/s by batch of 100 ÷ singly", median(ratios), "ratio", batchToReach)
	r.figure("accepted by batch", median(batched), "/s")
	r.figure("accepted singly", median(singly), "/s")
	return nil
}
