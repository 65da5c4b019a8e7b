package api

import (
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	replayMemory = 10 * time.Minute // longer than the archive lags but for an outage
	maxReplays   = 10_000           // remembered
)

// replays remembers which generations of deliveries this process replayed lately: until the archive has what a replay recorded, a
// second one would find the delivery as the first did, and send it again.
type replays struct {
	mu    sync.Mutex
	made  map[postrider.DeliveryID]replayed
	order []postrider.DeliveryID // the oldest first; one that was forgotten may be there still
}

type replayed struct {
	generation int // the one that was replayed
	at         time.Time
}

// begin reports whether a generation of a delivery may be replayed, and remembers that it is.
func (r *replays) begin(id postrider.DeliveryID, generation int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 {
		oldest, there := r.made[r.order[0]]
		if there && len(r.order) < maxReplays && now.Sub(oldest.at) < replayMemory {
			break
		}
		delete(r.made, r.order[0])
		r.order = r.order[1:]
	}
	last, there := r.made[id]
	if there && last.generation >= generation {
		return false
	}
	if r.made == nil {
		r.made = map[postrider.DeliveryID]replayed{}
	}
	r.made[id] = replayed{generation, now}
	r.order = append(r.order, id)
	return true
}

// forget lets a generation be replayed again: the replay failed.
func (r *replays) forget(id postrider.DeliveryID, generation int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made[id].generation == generation {
		delete(r.made, id)
	}
}
