package postrider

import "time"

// Subscription binds a target and a filter of one tenant. Only an active one delivers.
type Subscription struct {
	ID        int64
	Tenant    string
	Version   uint64 // of its last change in the feed; its ETag
	TargetID  int64
	FilterID  int64
	Active    bool
	CreatedAt time.Time
	UpdatedAt time.Time
}
