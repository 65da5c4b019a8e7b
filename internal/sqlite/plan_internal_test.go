package sqlite

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

// Lists are read by an index, in their order, in every state but delivered, which most deliveries are in.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, tt := range map[string]struct {
		query postrider.DeliveryQuery
		want  string
	}{
		"all":       {postrider.DeliveryQuery{}, "USING PRIMARY KEY (tenant=?)"},
		"exhausted": {postrider.DeliveryQuery{State: postrider.StateExhausted}, "deliveries_waiting (tenant=? AND state=?)"},
		"pending":   {postrider.DeliveryQuery{State: postrider.StatePending}, "deliveries_waiting (tenant=? AND state=?"},
		"deferred":  {postrider.DeliveryQuery{State: postrider.StateDeferred}, "deliveries_waiting (tenant=? AND state=?)"},
		"target":    {postrider.DeliveryQuery{TargetID: 5}, "SEARCH target_deliveries USING PRIMARY KEY (target_id=?); SEARCH deliveries USING PRIMARY KEY (tenant=? AND id=?)"},
	} {
		of, rest, limit, err := db.database.conditions("acme", tt.query)
		if err != nil {
			t.Fatal(err)
		}
		of.add("tenant = ?", "acme")
		rows, err := db.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT "+deliveryColumns+", "+held+" FROM "+source(tt.query)+" WHERE "+strings.Join(append(of.parts, rest.parts...), " AND ")+" ORDER BY id DESC LIMIT ?",
			append(append(append([]any{int64(1)}, of.args...), rest.args...), limit)...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		if err := each(rows, func(rows *sql.Rows) error {
			var a, b, c any
			plan = append(plan, "")
			return rows.Scan(&a, &b, &c, &plan[len(plan)-1])
		}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan, "; "); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s; want %s", name, got, tt.want)
		} else {
			t.Logf("%s: %s", name, got)
		}
	}
}
