package match

import (
	"github.com/postrider/postrider"
)

// target is a target and the subscriptions that name it.
type target struct {
	entity        *postrider.Target // nil: not there
	subscriptions []*subscription
	there, off    bool // as the entity says, for those who need not look at it
}

// judge says what to do with a delivery to a target that is there.
func (x *target) judge(eventType string) Verdict {
	switch {
	case x.entity.State == postrider.TargetOff:
		return Off
	case !x.subscribed(eventType):
		return Unsubscribed
	case x.entity.State == postrider.TargetUnproven:
		return Unproven
	}
	return Send
}

func (x *target) subscribed(eventType string) bool {
	for _, s := range x.subscriptions {
		if s.active && s.filter.matches(eventType) {
			return true
		}
	}
	return false
}

// filter is a filter's patterns and the subscriptions that name it.
type filter struct {
	uses          []use // sorted by the patterns' keys
	subscriptions []*subscription
	known         bool
}

// collect appends the targets of the filter's active subscriptions.
func (x *filter) collect(buf []Ref) []Ref {
	for _, s := range x.subscriptions {
		if s.active && s.target.there {
			buf = append(buf, Ref{TargetID: s.targetID, Off: s.target.off})
		}
	}
	return buf
}

// subscription binds the two. It knows its places in their lists, so that it leaves them at once however long they are.
type subscription struct {
	target             *target
	filter             *filter
	targetID, filterID int64
	inTarget, inFilter int32
	active             bool
}

func (s *subscription) link() {
	s.inTarget = int32(len(s.target.subscriptions))
	s.target.subscriptions = append(s.target.subscriptions, s)
	s.inFilter = int32(len(s.filter.subscriptions))
	s.filter.subscriptions = append(s.filter.subscriptions, s)
}

// unlink puts the last of each list in the place of s.
func (s *subscription) unlink() {
	list := s.target.subscriptions
	last := list[len(list)-1]
	list[s.inTarget], last.inTarget = last, s.inTarget
	list[len(list)-1] = nil
	s.target.subscriptions = list[:len(list)-1]

	list = s.filter.subscriptions
	last = list[len(list)-1]
	list[s.inFilter], last.inFilter = last, s.inFilter
	list[len(list)-1] = nil
	s.filter.subscriptions = list[:len(list)-1]
}
