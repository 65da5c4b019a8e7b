package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// rowsADay is how many deliveries a day the lists are measured on, over 8 days.
func rowsADay() int {
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_PG_ROWS")); err == nil {
		return n
	}
	return 20_000
}

// benchSchema opens a database with a schema of its own.
func benchSchema(b *testing.B) *Database {
	b.Helper()
	at := os.Getenv("STACK_PG")
	if at == "" {
		b.Skip("needs a PostgreSQL server: set STACK_PG to the URL of a superuser")
	}
	name := fmt.Sprintf("bench_lists_%d", time.Now().UnixNano())
	d, err := Open(b.Context(), Options{URL: at + "&pool_max_conns=2&statement_timeout=0&search_path=" + name})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_, _ = d.pool.Exec(context.WithoutCancel(b.Context()), "DROP SCHEMA "+name+" CASCADE")
		_ = d.Close()
	})
	return d
}

// BenchmarkStackLists measures what the API asks for, by the size of the tables (POSTRIDER_PG_ROWS deliveries on each of 8 days): the
// first page, and a page three days back. It prints the median and the 95th percentile of each.
func BenchmarkStackLists(b *testing.B) {
	d := benchSchema(b)
	begun := time.Now()
	if err := fill(b.Context(), d, 8, rowsADay()); err != nil {
		b.Fatal(err)
	}
	var deliveries, attempts int64
	var size, indexes string
	err := d.pool.QueryRow(b.Context(), `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM deliveries WHERE number IS NOT NULL) + (SELECT count(*) FROM attempts),
		pg_size_pretty(sum(pg_table_size(relid))), pg_size_pretty(sum(pg_indexes_size(relid))) FROM pg_partition_tree('deliveries')`).Scan(&deliveries, &attempts, &size, &indexes)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("%d deliveries, %d attempts, made in %v; deliveries take %s, their indexes %s\n", deliveries, attempts, time.Since(begun).Round(time.Second), size, indexes)
	b.Run("Queries", func(b *testing.B) { measureLists(b, d) })
}

func measureLists(b *testing.B, d *Database) {
	b.Helper()
	deep := postrider.FirstDeliveryID(d.clock().AddDate(0, 0, -3))
	cursor := hex.EncodeToString(deep[:])
	times := map[string][]time.Duration{}
	for range b.N {
		for name, q := range queries(d.clock()) {
			for page, after := range map[string]string{"": "", ", 3 days back": cursor} {
				q.After = after
				begun := time.Now()
				if _, _, err := d.Deliveries(b.Context(), "tenant9", q); err != nil {
					b.Fatal(err)
				}
				times[name+page] = append(times[name+page], time.Since(begun))
			}
		}
	}
	var lines []string
	for name, list := range times {
		slices.Sort(list)
		lines = append(lines, fmt.Sprintf("%-32s p50 %8v  p95 %8v", name, list[len(list)/2].Round(10*time.Microsecond), list[len(list)*95/100].Round(10*time.Microsecond)))
	}
	slices.Sort(lines)
	fmt.Printf("%d times each:\n%s\n", b.N, strings.Join(lines, "\n")) // a benchmark's log is cut short
}
