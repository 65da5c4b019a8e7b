package deploy_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables in docs/cost.md anew")

// Prices in dollars, us-east-1; docs/cost.md says of when.
const (
	sqsRequest   = 0.50 / 1e6 // 0.40, and 0.10 since messages carry a group id (fair queues)
	s3Put        = 5.0 / 1e6
	s3Get        = 0.4 / 1e6
	s3Month      = 0.023 // a GiB
	kafkaMonth   = 0.10  // a GiB of a broker's disk
	rdsMonth     = 0.23  // a GiB, in two zones
	crossZone    = 0.02  // a GiB, both ends
	endpoint     = 0.01  // a GiB through the interface endpoint of SQS
	internet     = 0.09  // a GiB to targets on the internet
	sqsUnit      = 64 << 10
	sqsBatch     = 10
	sqsMax       = 1 << 20
	gib          = 1 << 30
	million      = 1e6
	monthDays    = 30
	deliveryRow  = 790 // bytes in PostgreSQL of a delivery and its event, with indexes: docs/postgres.md
	outcomeBytes = 400 // in Kafka, of fan-out and attempt
)

// Assumptions about the system.
const (
	packOverhead     = 250 // bytes of a delivery in a pack, beyond the payload
	smallPack        = 10  // small events of one tenant in a pack
	smallEvent       = 8 << 10
	kafkaCopies      = 3
	kafkaDays        = 14
	outcomeDays      = 7
	payloadDays      = 30
	deliveryDays     = 30
	otherZones       = 2.0 / 3 // of three: the share of traffic to Kafka that crosses zones
	referenceInQueue = 100     // bytes of a stored key
)

// load is one kind of traffic: fan-out 1, each delivered at the first attempt.
type load struct {
	payload float64 // bytes
	inline  bool
	sparse  bool // each message travels alone
}

// encoded is what a delivery takes in a message's body.
func (l load) encoded() float64 {
	n := l.payload
	if !l.inline {
		n = referenceInQueue
	}
	return (n + packOverhead) * 4 / 3
}

// fits reports whether the queue takes it inline.
func (l load) fits() bool { return l.encoded() <= sqsMax }

// sqs are calls and billed requests a delivery: sends, receives, removals.
func (l load) sqs() (calls, billed float64) {
	deliveries, size := 1.0, l.encoded()
	if !l.sparse {
		if l.payload <= smallEvent {
			deliveries = smallPack
		}
		messages := math.Max(1, math.Min(sqsBatch, math.Floor(sqsMax/(size*deliveries))))
		size, deliveries = size*deliveries*messages, deliveries*messages
	}
	units := math.Ceil(size / sqsUnit)
	return 3 / deliveries, (2*units + 1) / deliveries
}

// queueAndStore is what a million cost in SQS and S3, the way to SQS through an endpoint included or not.
func (l load) queueAndStore(priced bool) float64 {
	_, billed := l.sqs()
	cost := million * billed * sqsRequest
	if priced {
		cost += million * 2 * l.encoded() / gib * endpoint
	}
	if !l.inline {
		cost += million*(s3Put+s3Get) + million*l.payload/gib*s3Month*payloadDays/monthDays
	}
	return cost
}

func (l load) kafka() float64 {
	events := (l.payload + packOverhead) / gib * kafkaCopies * kafkaMonth * kafkaDays / monthDays
	outcomes := outcomeBytes / float64(gib) * kafkaCopies * kafkaMonth * outcomeDays / monthDays
	traffic := (l.payload + packOverhead + outcomeBytes) / gib * 2 * otherZones * crossZone
	return million * (events + outcomes + traffic)
}

func (l load) database() float64 {
	return million * deliveryRow / gib * rdsMonth * deliveryDays / monthDays
}
func (l load) internet() float64 { return million * (l.payload + 1024) / gib * internet }

func money(v float64) string { return fmt.Sprintf("%.2f", v) }

// costTable is the first table of docs/cost.md.
func costTable() string {
	var b strings.Builder
	b.WriteString("\n| payload | travels | SQS calls per 1,000 | billed | SQS | S3 | Kafka | database | to targets | in all |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, size := range []struct {
		name  string
		bytes float64
	}{{"1 KiB", 1 << 10}, {"100 KiB", 100 << 10}, {"1 MiB", 1 << 20}} {
		for _, l := range []load{
			{size.bytes, true, false}, {size.bytes, true, true}, {size.bytes, false, false}, {size.bytes, false, true},
		} {
			if l.inline && !l.fits() {
				continue
			}
			how := map[bool]string{true: "inline", false: "by S3"}[l.inline] + map[bool]string{true: ", alone", false: ", batches full"}[l.sparse]
			calls, billed := l.sqs()
			sqs := million * billed * sqsRequest
			s3 := l.queueAndStore(false) - sqs
			all := sqs + s3 + l.kafka() + l.database() + l.internet()
			fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %s | %s | %s | %s | %s | **%s** |\n", size.name, how, 1000*calls, 1000*billed,
				money(sqs), money(s3), money(l.kafka()), money(l.database()), money(l.internet()), money(all))
		}
	}
	return b.String() + "\n"
}

// limitTable compares the two ways by size.
func limitTable() string {
	var b strings.Builder
	b.WriteString("\n| payload | inline | by S3 | cheaper | inline, endpoint | by S3, endpoint | cheaper |\n| --- | ---: | ---: | --- | ---: | ---: | --- |\n")
	for _, kib := range []float64{4, 16, 64, 128, 192, 256, 384, 512, 640, 760} {
		row := fmt.Sprintf("| %.0f KiB |", kib)
		for _, priced := range []bool{false, true} {
			inline, stored := load{kib * 1024, true, false}.queueAndStore(priced), load{kib * 1024, false, false}.queueAndStore(priced)
			winner := "inline"
			if stored < inline {
				winner = "S3"
			}
			row += fmt.Sprintf(" %s | %s | %s |", money(inline), money(stored), winner)
		}
		b.WriteString(row + "\n")
	}
	return b.String() + "\n"
}

func TestCostTables(t *testing.T) {
	t.Parallel()
	const path = "../docs/cost.md"
	text := read(t, path)
	for name, want := range map[string]string{"cost": costTable(), "limit": limitTable()} {
		begin := "<!-- " + name + ": go test ./deploy -run TestCostTables -update -->\n"
		before, rest, found := strings.Cut(text, begin)
		got, after, closed := strings.Cut(rest, "<!-- end -->")
		if !found || !closed {
			t.Fatalf("%s has no table %q", path, name)
		}
		if got != want && !*update {
			t.Errorf("the table %q in %s is not what its formulas give; write it anew: go test ./deploy -run TestCostTables -update", name, path)
		}
		text = before + begin + want + "<!-- end -->" + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
