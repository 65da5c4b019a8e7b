package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// TestConnections cuts, freezes and slows connections under load: those to each server in turn, then those to the Kafka of the
// outcomes alone. One follows the other, since there is one listener of Kafka that a proxy can stand before.
func TestConnections(t *testing.T) { //nolint:tparallel // see above
	t.Parallel()
	t.Run("EachServer", eachServer)
	t.Run("OutcomesAlone", outcomesAlone)
}

func eachServer(t *testing.T) {
	p := newProxies(t)
	f := newFleet(t, drillSettings()...)
	f.at = p.addresses()
	d := newDrill(t, f, f.startAll(t))
	withoutSQS := twins{held: held, unseen: uncommitted + moving}
	schema := register(t, direct().registry, f.name+"-value", webhookEvent)
	d.suffer(t, fault{name: "the registry down", run: func() {
		mend := p.registry.cut(t)
		d.produceFramed(t, schema, "framed while the registry is down") // waits in its partition
		d.awaitFlow(t, "without a registry", len(d.rounds), time.Now()) // what is not framed needs none
		mend()
	}})
	for _, c := range []struct {
		what   string
		proxy  *proxy
		twins  twins
		leases bool
	}{
		{"PostgreSQL", p.pg, twins{}, false},
		{"the S3 server", p.s3, twins{}, false},
		{"Kafka", p.kafka, twins{again: uncommitted}, false},
		{"the SQS server", p.sqs, withoutSQS, true},
	} {
		d.suffer(t, fault{name: "connections to " + c.what + " cut", twins: c.twins, leases: c.leases, run: func() { d.during(t, c.proxy.cut(t)) }})
		d.suffer(t, fault{name: "connections to " + c.what + " frozen", twins: c.twins, leases: c.leases, run: func() { d.during(t, c.proxy.freeze(t)) }})
	}
	d.suffer(t, fault{name: "connections to all servers slowed by 100 ms", twins: withoutSQS, leases: true, run: func() {
		for _, one := range []*proxy{p.kafka, p.sqs, p.s3, p.pg} {
			defer one.slow(t, 50)()
		}
		d.awaitFlow(t, "while it is slow", len(d.rounds), time.Now())
	}})
	d.finish(t)
}

// produceFramed produces one event of the load with a schema's number before it.
func (d *drill) produceFramed(t *testing.T, schema int, id string) {
	t.Helper()
	id = strings.ReplaceAll(id, " ", "-")
	payload := harness.Payload(9, 500)
	d.ledger.will(id, len(d.rounds), payload)
	produce(t, d.app, d.name, framed(schema, bare(loadType, payload)), "postrider-event-id", id)
	d.ledger.end(id, true)
}

// during lets a fault last for some of the load, and mends it.
func (d *drill) during(t *testing.T, mend func()) {
	t.Helper()
	select {
	case <-time.After(outage): // that the load meets the fault is the point; nothing is asserted about the time
	case <-t.Context().Done():
	}
	mend()
}

// outage is how long a connection stays cut or frozen.
const outage = 2 * time.Second
