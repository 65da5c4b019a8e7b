package dispatch

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/trace"
)

// answer is what an attempt came to.
type answer struct {
	attempt    postrider.Attempt
	disable    bool      // the receiver wants nothing more
	abort      bool      // the receiver does not want this message
	retryAfter time.Time // zero: it did not say
	span       trace.Span
}

// attempt sends a message and reads the answer, within the timeout. A panic, also of the transport, is a failure of class
// internal.
func (d *Dispatcher) attempt(j *job, body []byte) (ans answer) {
	at := d.Clock()
	begin := time.Now()
	ans.attempt = postrider.Attempt{Number: j.delivery.Attempts + 1, StartedAt: at.UTC()}
	defer func() {
		if fault := recover(); fault != nil {
			d.Logger.Error("an attempt panicked", "delivery_id", j.delivery.ID.String(), "target_id", j.target.ID, "tenant", j.target.Tenant,
				"panic", fault, "stack", string(debug.Stack()))
			ans.attempt.Class, ans.attempt.Error = postrider.ClassInternal, "a fault inside Postrider"
		}
		ans.attempt.Duration = time.Since(begin)
	}()
	x, err := d.material.of(j.target)
	if err != nil {
		d.Logger.Error("a message cannot be made", "delivery_id", j.delivery.ID.String(), "target_id", j.target.ID, "tenant", j.target.Tenant, "error", err)
		ans.attempt.Class, ans.attempt.Error = postrider.ClassInternal, "the message could not be made: the target's settings cannot be read"
		return ans
	}
	ans.span = d.Tracer.Attempt(&j.delivery, x.url, len(body), at)
	ctx, cancel := context.WithTimeout(j.life.attempts, d.Timeout)
	defer cancel()
	request := message(ctx, x, &j.delivery, body, at)
	if d.TraceTargets {
		traced(request.Header, ans.span.Trace(j.delivery.Event.Trace))
	}
	response, err := d.Transport(j.target.AllowPrivate).RoundTrip(request)
	if err != nil {
		ans.attempt.Class, ans.attempt.Error = classify(ctx, err, d.Timeout)
		if j.life.attempts.Err() != nil && ans.attempt.Class == postrider.ClassTimeout {
			ans.attempt.Class, ans.attempt.Error = postrider.ClassInterrupted, "Postrider stopped before a response came"
		}
		return ans
	}
	d.answered(&ans, response)
	return ans
}

// answered reads what of a response counts. The status decides; a body that stalls or breaks changes nothing.
func (d *Dispatcher) answered(ans *answer, response *http.Response) {
	ans.attempt.Status = response.StatusCode
	ans.attempt.Class = classOf(response.StatusCode)
	ans.disable, ans.abort = wishes(response.Header)
	ans.disable = ans.disable || response.StatusCode == http.StatusGone
	ans.retryAfter = retryAfter(response.Header.Get("Retry-After"), d.Clock())
	if response.StatusCode != http.StatusSwitchingProtocols {
		ans.attempt.Head = readHead(response.Body)
	}
	_ = response.Body.Close() // there is nothing left to be told
}

func classOf(status int) postrider.Class {
	switch {
	case status >= 200 && status < 300:
		return postrider.ClassOK
	case status >= 300 && status < 400:
		return postrider.ClassRedirect
	}
	return postrider.ClassStatus
}

// wishes reads the header by which a receiver says what it does not want.
func wishes(h http.Header) (disable, abort bool) {
	for _, line := range h[headerDelivery] {
		for word := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.TrimSpace(word)) {
			case "disable":
				disable = true
			case "abort-message":
				abort = true
			}
		}
	}
	return disable, abort
}

// buffers are what bodies are read into.
var buffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// readHead reads at most MaxResponseRead bytes, so that the connection can be used again, and keeps the first of them.
func readHead(body io.Reader) []byte {
	buffer, _ := buffers.Get().(*[4 << 10]byte)
	defer buffers.Put(buffer)
	n, err := io.ReadFull(body, buffer[:])
	var head []byte
	if n > 0 {
		head = append(head, buffer[:min(n, postrider.MaxResponseHead)]...)
	}
	for read := n; err == nil && read < postrider.MaxResponseRead; read += n {
		n, err = body.Read(buffer[:min(len(buffer), postrider.MaxResponseRead-read)])
	}
	return head
}
