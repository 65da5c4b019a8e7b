package postrider

import "time"

// Class groups the ends of attempts, for metrics and for readers.
type Class string

// The classes.
const (
	ClassOK          Class = "ok"          // 2xx
	ClassStatus      Class = "status"      // another status
	ClassRedirect    Class = "redirect"    // 3xx, which is not followed
	ClassTimeout     Class = "timeout"     // no response within the timeout
	ClassDNS         Class = "dns"         // the name did not resolve
	ClassConnect     Class = "connect"     // refused, unreachable
	ClassTLS         Class = "tls"         // handshake or certificate
	ClassReset       Class = "reset"       // the connection broke before the response's head was there
	ClassProtocol    Class = "protocol"    // the response is not HTTP, or its head is too large
	ClassForbidden   Class = "forbidden"   // the address may not be reached
	ClassInterrupted Class = "interrupted" // we stopped
	ClassInternal    Class = "internal"    // a fault of ours
)

// MaxResponseHead is how much of a response's body is kept with an attempt.
const MaxResponseHead = 1 << 10

// MaxResponseRead is how much of a response's body is read.
const MaxResponseRead = 64 << 10

// Attempt is one try to send a message, and its outcome.
type Attempt struct {
	Number    int // from 1, over all generations
	StartedAt time.Time
	Duration  time.Duration
	Class     Class
	Status    int    // of the response; 0: none came
	Error     string // why none came; shown to the tenant, so without addresses of ours
	Head      []byte // the beginning of the response's body, at most MaxResponseHead bytes
}

// Succeeded reports whether the message was taken.
func (a *Attempt) Succeeded() bool { return a.Class == ClassOK }
