package sqs

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/queuetest"
	"github.com/postrider/postrider/internal/wire"
)

// goldenBody is a message of version 1 of the wire format. It stays readable: the versions before and after one another run
// side by side during an upgrade.
const goldenBody = "AQFaAAAAAARhY21lAg4ABWV2dF83AQATY29yZS5vcmRlcnMuY3JlYXRlZAAQYXBwbGljYXRpb24vanNvbpGyzMrvZgE4AAQIXSK8S25PVEPHRwEJBGr9iHjl9YmZt4gCeyJuIjogN30"

func TestGoldenBody(t *testing.T) {
	t.Parallel()
	want := queuetest.NewPack("acme", 7, 2)
	if got := encode(&postrider.Item{Pack: want}); !strings.HasPrefix(got, "AQ") {
		t.Errorf("this version writes %q; version 1 begins with AQ", got)
	}
	item, err := decode(postrider.LaneFirst, goldenBody)
	if err != nil {
		t.Fatal(err)
	}
	if len(item.Pack.Deliveries) != 2 || item.Pack.Deliveries[1] != func() postrider.Delivery {
		d := want.Deliveries[1]
		d.Event = item.Pack.Deliveries[1].Event
		return d
	}() || string(item.Pack.Deliveries[0].Event.Payload.Bytes) != `{"n": 7}` {
		t.Errorf("read %+v", item.Pack)
	}
}

func TestLaterVersionIsTold(t *testing.T) {
	t.Parallel()
	if _, err := decode(postrider.LaneFirst, encoding.EncodeToString([]byte{99, 1})); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"", "!", "AQ", `{"json": true}`} {
		if _, err := decode(postrider.LaneFirst, body); err == nil || errors.Is(err, wire.ErrVersion) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
