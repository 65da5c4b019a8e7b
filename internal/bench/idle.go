package bench

import (
	"os"
	"time"
)

// Targets of an idle server.
const (
	idleRSS   = 60  // MiB
	idleCPU   = 1   // percent of a core
	idleStart = 0.5 // seconds
	binaryMax = 50  // MB
)

// idle measures a server that has nothing to do.
func idle(r *run) error {
	info, err := os.Stat(r.Binary)
	if err != nil {
		return err
	}
	var starts []float64
	var s *system
	for range 3 { // the first makes the file
		if s != nil {
			s.stop()
		}
		if s, err = r.serve(); err != nil {
			return err
		}
		starts = append(starts, s.api.took.Seconds())
	}
	if err := pause(r.ctx, time.Second); err != nil {
		return err
	}
	before, known := s.usage()
	begun := time.Now()
	if err := pause(r.ctx, 2*r.Duration); err != nil {
		return err
	}
	if after, _ := s.usage(); known {
		r.atMost("RSS", mib(after.rss), "MiB", idleRSS)
		r.atMost("CPU", 100*(after.cpu-before.cpu).Seconds()/time.Since(begun).Seconds(), "%", idleCPU)
	}
	r.atMost("start to ready", median(starts), "s", idleStart)
	r.atMost("size of the binary", float64(info.Size())/1e6, "MB", binaryMax)
	s.stop()
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
