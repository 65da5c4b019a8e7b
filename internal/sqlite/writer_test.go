package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func openDB(tb testing.TB, dir string) *DB {
	tb.Helper()
	return openWith(tb, Options{Dir: dir})
}

func openWith(tb testing.TB, o Options) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// hold keeps the writer within a group until the function is called.
func hold(t *testing.T, db *DB) (begun <-chan struct{}, release func()) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	if _, err := db.writer.add(t.Context(), 0, func(*tx) error { close(in); <-out; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	return in, func() { close(out) }
}

func pack(n int) postrider.Item {
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Position: position(int64(n + 1)), Payload: postrider.Payload{Log: true}}
	return postrider.Item{Pack: &postrider.Pack{Tenant: "acme", Deliveries: []postrider.Delivery{{ID: postrider.NewDeliveryID(e, 1), Event: e, TargetID: 1}}}}
}

func rowsIn(t *testing.T, db *DB, table string) (n int) {
	t.Helper()
	if err := db.read.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What the guarantees rest on: each commit is synced, in WAL mode, and free pages can be given back.
func TestPragmas(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "auto_vacuum": "2"} {
		var got string
		if err := db.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
}

// A Commit is not done before its group's transaction is: until then another connection sees nothing of it.
func TestCommitComesAfterTheTransaction(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	begun, release := hold(t, db)
	<-begun
	event := &postrider.Event{ID: "evt_1", Tenant: "acme", Type: "a", Payload: postrider.Payload{Size: 1, Bytes: []byte("x")}}
	commit, err := db.Events().Append(t.Context(), []*postrider.Event{event})
	if err != nil {
		t.Fatal(err)
	}
	other, err := db.Queue().Put(t.Context(), pack(1))
	if err != nil {
		t.Fatal(err)
	}
	if commit != other {
		t.Error("two writes that wait for one transaction have two commits")
	}
	select {
	case <-commit.Done():
		t.Fatal("the commit is done before its transaction began")
	default:
	}
	if n := rowsIn(t, db, "events"); n != 0 {
		t.Errorf("%d events are there", n)
	}
	release()
	if err := commit.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := rowsIn(t, db, "events"); n != 1 {
		t.Errorf("%d events are there", n)
	}
}

// What is put and settled in one group never touches the file.
func TestPutAndSettleCancelOut(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	begun, release := hold(t, db)
	<-begun
	if _, err := db.Queue().Put(t.Context(), pack(1)); err != nil {
		t.Fatal(err)
	}
	leases, err := db.Queue().Take(t.Context(), postrider.TakeRequest{Credit: 10})
	if err != nil || len(leases) != 1 {
		t.Fatalf("%d, %v", len(leases), err)
	}
	commit, err := db.Queue().Settle(t.Context(), leases[0])
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	if _, err := db.writer.add(t.Context(), 0, func(x *tx) error { return x.row("SELECT count(*) FROM queue", nil, &written) }, nil); err != nil {
		t.Fatal(err)
	}
	release()
	if err := commit.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if written != 0 || rowsIn(t, db, "queue") != 0 {
		t.Errorf("%d rows were written", written)
	}
}

// An operation that is refused undoes what it wrote, and the others of its group know nothing of it.
func TestRefusedOperation(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	begun, release := hold(t, db)
	<-begun
	put, err := db.Queue().Put(t.Context(), pack(1))
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		refused <- db.writer.do(context.Background(), func(x *tx) error {
			if err := x.exec("INSERT INTO meta (name, value) VALUES ('x', 1)"); err != nil {
				return err
			}
			return postrider.Invalid("x", "no")
		})
	}()
	release()
	if err := <-refused; postrider.CodeOf(err) != postrider.CodeInvalid {
		t.Errorf("refused: %v", err)
	}
	if err := put.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if n := rowsIn(t, db, "meta"); n != 0 {
		t.Errorf("%d rows are left of what was refused", n)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	if _, err := Open(t.Context(), Options{Dir: dir}); postrider.CodeOf(err) != postrider.CodeConflict {
		t.Errorf("a second one: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	openDB(t, dir)
}

func TestLaterFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := openDB(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), "PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if _, err := Open(t.Context(), Options{Dir: dir}); postrider.CodeOf(err) != postrider.CodeConflict {
		t.Errorf("a later file: %v", err)
	}
}

// Deliveries that are merely pending get their row soon, by a group of their own if need be; those that end before never
// have another one.
func TestPendingRowsComeLater(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Position: "1", AcceptedAt: time.UnixMilli(1000).UTC()}
	commit, err := db.Outcomes(true).Record(t.Context(), []postrider.Outcome{{Kind: postrider.OutcomeFanOut, At: e.AcceptedAt, Tenant: "acme", Event: e.Head(), Targets: []int64{1, 2}}})
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for { // until the rows are there: the test's deadline bounds it
		list, _, err := db.Database().Deliveries(t.Context(), "acme", postrider.DeliveryQuery{State: postrider.StatePending})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 2 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// After a crash the queue tells of deliveries that had no row yet.
func TestPendingRowsAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	commit, err := db.Queue().Put(t.Context(), pack(1))
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir)
	list, _, err := db.Database().Deliveries(t.Context(), "acme", postrider.DeliveryQuery{})
	if err != nil || len(list) != 1 || list[0].State != postrider.StatePending {
		t.Errorf("%+v, %v", list, err)
	}
}

func FuzzDecodeAttempt(f *testing.F) {
	f.Add(appendAttempt(nil, &postrider.Attempt{Number: 3, StartedAt: time.UnixMicro(5), Class: postrider.ClassOK, Status: 200, Head: []byte("x")}))
	f.Add([]byte{1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAttempt(b)
		if err != nil {
			return
		}
		again, err := decodeAttempt(appendAttempt(nil, &a))
		if err != nil || again.Number != a.Number || !again.StartedAt.Equal(a.StartedAt) || again.Error != a.Error || !bytes.Equal(again.Head, a.Head) {
			t.Errorf("%+v became %+v, %v", a, again, err)
		}
	})
}
