package sqlite

import "github.com/postrider/postrider"

// recentRows is how many deliveries each half of recent holds.
const recentRows = 4096

// recent remembers deliveries whose first attempt was stored before their fan-out, which is recorded once the queue has them and may
// so come behind: it has nothing to add then, and costs nothing. It remembers the last few thousand; of one that it has forgotten the
// row is looked for. The zero value is ready to use, by one goroutine.
type recent struct {
	young, old map[postrider.DeliveryID]struct{}
}

func (r *recent) has(id postrider.DeliveryID) bool {
	_, young := r.young[id]
	_, old := r.old[id]
	return young || old
}

func (r *recent) add(ids []postrider.DeliveryID) {
	for _, id := range ids {
		if r.young == nil || len(r.young) >= recentRows {
			r.young, r.old = make(map[postrider.DeliveryID]struct{}, recentRows), r.young
		}
		r.young[id] = struct{}{}
	}
}
