package postrider

import "time"

// TargetState says whether a target gets messages.
type TargetState string

// The states of a target.
const (
	TargetOn       TargetState = "on"
	TargetOff      TargetState = "off"      // turned off, by itself (410, disable) or by somebody; it can be turned on again
	TargetUnproven TargetState = "unproven" // has yet to prove that it is the tenant's
)

// Target is where a tenant wants messages sent.
type Target struct {
	ID            int64
	Tenant        string
	Version       uint64 // of its last change in the feed; its ETag
	Name          string
	URL           string
	Headers       map[string]string // of every message; nil when read without secrets (see Sealed)
	Retry         RetryPolicy       // zero fields: the system's
	MaxInFlight   int               // 0: the system's
	AllowPrivate  bool              // may have an address that is not public; only the admin key sets it
	State         TargetState
	StateReason   string // why it is off: "gone", "disabled_by_receiver", or what an operator gave
	Secrets       []Secret
	SealedHeaders []byte // Headers, encrypted; what engines store
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Secret is one signing key of a target, encrypted.
type Secret struct {
	Sealed    []byte
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never; set when a newer one took its place
}

// Limits of a target.
const (
	MaxURLLength      = 2048
	MaxNameLength     = 128
	MaxTargetHeaders  = 32
	MaxHeaderBytes    = 8 << 10 // names and values together
	MaxTargetInFlight = 10_000
	MaxEntityID       = 1<<53 - 1
	MaxFilterEvents   = 1_000
	MaxBatchEvents    = 1_000
	MaxBatchBytes     = 64 << 20
	MaxPageLimit      = 200
	DefaultPageLimit  = 50
)

// Check refuses a target that must not be stored, naming every faulty field. It does not look at addresses: the egress
// guard does.
func (t *Target) Check() error {
	var faults Faults
	faults.Add("url", CheckURL(t.URL))
	if len(t.Name) > MaxNameLength {
		faults.Addf("name", "has %d bytes; at most %d are allowed", len(t.Name), MaxNameLength)
	}
	faults.Add("headers", CheckHeaders(t.Headers))
	faults.Add("retry", t.Retry.Check())
	if t.MaxInFlight < 0 || t.MaxInFlight > MaxTargetInFlight {
		faults.Addf("maxInFlight", "must be 1 to %d, or left out for the default", MaxTargetInFlight)
	}
	return faults.Err()
}

// SecretsAt returns the secrets that sign at a time: the newest, and older ones that are not expired.
func (t *Target) SecretsAt(now time.Time) []Secret {
	valid := make([]Secret, 0, len(t.Secrets))
	for _, s := range t.Secrets {
		if s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt) {
			valid = append(valid, s)
		}
	}
	return valid
}
