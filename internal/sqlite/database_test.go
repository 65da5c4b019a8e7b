package sqlite_test

import (
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/databasetest"
)

func TestDatabase(t *testing.T) {
	t.Parallel()
	databasetest.Run(t, func(t *testing.T) databasetest.Harness {
		t.Helper()
		f := openFolder(t)
		return databasetest.Harness{Database: f.db.Database(), Reopen: func(t *testing.T) postrider.Database { t.Helper(); return f.crash(t).Database() }}
	})
}

func BenchmarkDatabase(b *testing.B) {
	databasetest.Benchmark(b, func(b *testing.B) postrider.Database { b.Helper(); return openFolder(b).db.Database() })
}
