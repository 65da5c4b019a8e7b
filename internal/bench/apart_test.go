package bench

import (
	"slices"
	"testing"
)

func TestApart(t *testing.T) {
	t.Parallel()
	a := &apart{name: "1f2e"}
	for _, c := range [][3]string{
		{"--events", "kafka://127.0.0.1:9092/events?partitions=2", "kafka://127.0.0.1:9092/events-1f2e?partitions=2"},
		{"--outcomes", "kafka://one:9092,two:9092/outcomes", "kafka://one:9092,two:9092/outcomes-1f2e?"},
		{"--queue", "sqs://bench?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9324", "sqs://bench-1f2e?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9324"},
		{"--database", "postgres://u@127.0.0.1/db?sslmode=disable&search_path=other", "postgres://u@127.0.0.1/db?search_path=bench_1f2e&sslmode=disable"},
		{"--payloads", "s3://bucket?region=us-east-1", "s3://bucket?region=us-east-1"},
		{"--retry-base", "1s", "1s"},
	} {
		if got, err := a.moved(c[0], c[1]); err != nil || got != c[2] {
			t.Errorf("%s %s became %s, %v", c[0], c[1], got, err)
		}
	}
	if a.schema != "bench_1f2e" || a.database != "postgres://u@127.0.0.1/db?sslmode=disable&search_path=other" {
		t.Errorf("schema %s of %s", a.schema, a.database)
	}
	if _, err := withSchema("postgres://127.0.0.1/db?a=%zz", "s"); err == nil {
		t.Error("a URL that can't be read is taken")
	}
}

// TestApartIsReadByServers: what the URLs become is what servers and the bare loops take.
func TestApartIsReadByServers(t *testing.T) {
	t.Parallel()
	r := &run{dir: t.TempDir(), record: &CaseRecord{}, ctx: t.Context(), Options: Options{keys: []string{secret(32), secret(32)}, Serve: []string{
		"--events", "kafka://127.0.0.1:1,127.0.0.1:2/e?partitions=2", "--outcomes", "kafka://127.0.0.1:1/o", "--queue", "sqs://q?region=us-east-1",
		"--payloads", "s3://bucket?region=us-east-1", "--database", "postgres://127.0.0.1:1/db"}}}
	given := slices.Clone(r.Serve)
	shared := r.Serve
	a, err := r.apart()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(shared, given) {
		t.Error("the engines of other cases have changed")
	}
	if !slices.Equal(a.events.brokers, []string{"127.0.0.1:1", "127.0.0.1:2"}) || a.events.name != "e-"+a.name || a.outcomes.name != "o-"+a.name || a.queue != "q-"+a.name || a.sqs == nil {
		t.Errorf("apart is %+v", a)
	}
	if len(r.after) != 1 {
		t.Error("nothing removes what the case makes")
	}
}

// TestNoPlainKafka: what the bare loop cannot speak to is not measured, and what cannot be removed is told.
func TestNoPlainKafka(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"kafka+tls://h:1/t?partitions=1", "kafka://user@h:1/t?sasl=plain"} {
		got := topicOf(raw)
		if got.name != "t" || len(got.brokers) > 0 {
			t.Errorf("%s: %+v", raw, got)
		}
		if err := got.remove(t.Context()); err == nil {
			t.Errorf("%s: the topic is said to be removed", raw)
		}
	}
}
