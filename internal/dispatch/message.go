package dispatch

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sign"
)

// Headers of a message besides those that are signed.
const (
	headerEventType = "Postrider-Event-Type"
	headerAttempt   = "Postrider-Attempt"
	headerReplay    = "Postrider-Replay"
	headerDelivery  = "Webhook-Delivery" // of the response
)

// newReader makes a request's body. It is of a kind that the transport knows to be in memory: then head and body leave in one
// write.
func newReader(body []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }

// message makes the request of one attempt.
func message(ctx context.Context, x *material, d *postrider.Delivery, body []byte, at time.Time) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: x.url, Host: x.url.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: messageHeaders(x, d, body, at), Body: http.NoBody, ContentLength: int64(len(body))}
	r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	if len(body) > 0 {
		r.Body = newReader(body)
		r.GetBody = func() (io.ReadCloser, error) { return newReader(body), nil }
	}
	return r.WithContext(ctx)
}

// traced adds the context of a trace, without its state, which is for the systems of its beginner.
func traced(h http.Header, carried string) {
	if parent, _ := postrider.SplitTrace(carried); parent != "" {
		h["Traceparent"] = []string{parent}
	}
}

func messageHeaders(x *material, d *postrider.Delivery, body []byte, at time.Time) http.Header {
	e := d.Event
	timestamp, signature := sign.Message(x.signing(at), e.ID, at, body)
	contentType := e.ContentType
	if contentType == "" {
		contentType = postrider.DefaultContentType
	}
	values := [...]string{contentType, e.ID, timestamp, signature, e.Type, strconv.Itoa(d.Attempts + 1)}
	h := make(http.Header, len(x.headers)+len(values)+3)
	maps.Copy(h, x.headers)
	for i, name := range [...]string{"Content-Type", sign.HeaderID, sign.HeaderTimestamp, sign.HeaderSignature, headerEventType, headerAttempt} {
		h[name] = values[i : i+1 : i+1]
	}
	if signature == "" {
		delete(h, sign.HeaderSignature)
	}
	if d.Generation > 0 {
		h[headerReplay] = []string{strconv.Itoa(d.Generation)}
	}
	// Sent as no header, this tells the transport that the request may be sent again when a reused connection turns out to
	// be dead before the response began: receivers know repeated messages by their id.
	if _, own := h["Idempotency-Key"]; !own {
		h["Idempotency-Key"] = nil
	}
	return h
}
