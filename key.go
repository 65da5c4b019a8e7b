package postrider

import "time"

// Key lets a tenant use the API. The key itself is shown once; what is stored is its SHA-256.
type Key struct {
	ID        int64
	Tenant    string
	Name      string
	Hash      [32]byte
	CreatedAt time.Time
}
