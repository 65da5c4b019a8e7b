package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ground measures what other figures stand on.
func ground(r *run) error {
	p50, p95, err := fsync(r.dir, r.Duration)
	if err != nil {
		return err
	}
	r.figure("fsync of 4 KiB, p50", p50, "ms")
	r.figure("fsync of 4 KiB, p95", p95, "ms")
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	run, err := sink.open(barePosts, 1)
	if err != nil {
		return err
	}
	own, known := usageOf(os.Getpid())
	theirs, _ := sink.usage()
	s := publish(r.ctx, load{to: endpoint{url: sink.target(0)}, run: run, publishers: 1, payload: newPayload(1 << 10), most: barePosts, duration: r.Duration})
	posts := float64(len(s.micros))
	if posts == 0 {
		posts = float64(s.failed.Load()) // the sink answers 200, not 202
	}
	if known {
		after, _ := usageOf(os.Getpid())
		sinkAfter, _ := sink.usage()
		r.figure("a bare POST of 1 KB: CPU of the client", float64((after.cpu-own.cpu).Microseconds())/posts, "µs")
		r.figure("a bare POST of 1 KB: CPU of the receiver", float64((sinkAfter.cpu-theirs.cpu).Microseconds())/posts, "µs")
	}
	r.figure("a bare POST of 1 KB: one after the other", posts/s.took.Seconds(), "/s")
	return nil
}

const barePosts = 1 << 20

// fsync measures how long a write of 4 KiB takes to be on the disk.
func fsync(dir string, duration time.Duration) (p50, p95 float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, 0, fmt.Errorf("measuring fsync: %w", err)
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	var micros []uint32
	for begun := time.Now(); time.Since(begun) < duration && len(micros) < 2000; {
		at := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, fmt.Errorf("measuring fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, 0, fmt.Errorf("measuring fsync: %w", err)
		}
		micros = append(micros, uint32(time.Since(at).Microseconds()))
	}
	p := percentiles(micros, 50, 95)
	return p[0], p[1], nil
}
