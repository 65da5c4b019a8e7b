package app

import (
	"context"

	"github.com/postrider/postrider/internal/sqlite"
)

// Report tells what a data folder holds and what is wrong with it.
type Report = sqlite.Report

// Check verifies the embedded engines' file in a data folder, which a process may be using; see sqlite.Check.
func Check(ctx context.Context, dir string) (*Report, error) { return sqlite.Check(ctx, dir) }

// Backup copies the embedded engines' file of a data folder, which a process may be using, to a new file; see sqlite.Backup. Keys
// are not in it.
func Backup(ctx context.Context, dir, file string) error { return sqlite.Backup(ctx, dir, file) }
