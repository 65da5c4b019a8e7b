package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const maxReplays = 10_000 // remembered

// replays remembers which generations of deliveries are being replayed. It is in memory: the file is this process's own, and what it
// was replaying ends with it.
type replays struct {
	mu    sync.Mutex
	made  map[postrider.DeliveryID]replayed
	order []replayed // the oldest first; one that was forgotten, or that another came after, may be there still
}

type replayed struct {
	id         postrider.DeliveryID
	generation int // the one that is replayed
	until      time.Time
}

// BeginReplay remembers a replay, unless there is one; see postrider.ReplayStore.
func (d *database) BeginReplay(_ context.Context, id postrider.DeliveryID, generation int, until time.Time) (bool, error) {
	return d.replays.begin(replayed{id, generation, until}, d.db.clock()), nil
}

// ForgetReplay forgets one that failed; see postrider.ReplayStore.
func (d *database) ForgetReplay(_ context.Context, id postrider.DeliveryID, generation int) error {
	d.replays.forget(id, generation)
	return nil
}

func (r *replays) begin(replay replayed, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 {
		oldest := r.order[0]
		if counts := r.made[oldest.id] == oldest; counts && len(r.order) < maxReplays && now.Before(oldest.until) {
			break
		} else if counts {
			delete(r.made, oldest.id)
		}
		r.order = r.order[1:]
	}
	last, there := r.made[replay.id]
	if there && last.generation >= replay.generation && now.Before(last.until) {
		return false
	}
	if r.made == nil {
		r.made = map[postrider.DeliveryID]replayed{}
	}
	r.made[replay.id] = replay
	r.order = append(r.order, replay)
	return true
}

func (r *replays) forget(id postrider.DeliveryID, generation int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made[id].generation == generation {
		delete(r.made, id)
	}
}
