package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/postrider/postrider"
)

// problem is a problem document (RFC 9457).
type problem struct {
	Type   string         `json:"type" doc:"about:blank: the status says what kind of fault it is"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty"`
	Errors []problemField `json:"errors,omitempty" doc:"every faulty field"`
}

type problemField struct {
	Field   string `json:"field" doc:"as in the request, such as url, retry.base or items[3].eventType"`
	Message string `json:"message"`
}

// maxProblemFields is how many faulty fields an answer names: more help nobody, and an answer must not be much larger than
// what is answered.
const maxProblemFields = 1000

// status is the one mapping from the domain's errors to HTTP.
func status(code postrider.Code) int {
	switch code {
	case postrider.CodeMalformed:
		return http.StatusBadRequest
	case postrider.CodeUnauthorized:
		return http.StatusUnauthorized
	case postrider.CodeForbidden:
		return http.StatusForbidden
	case postrider.CodeNotFound:
		return http.StatusNotFound
	case postrider.CodeConflict:
		return http.StatusConflict
	case postrider.CodePrecondition:
		return http.StatusPreconditionFailed
	case postrider.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case postrider.CodeInvalid:
		return http.StatusUnprocessableEntity
	case postrider.CodeLimited:
		return http.StatusTooManyRequests
	case postrider.CodeGone:
		return http.StatusGone
	case postrider.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// statusError is an error that has a status of its own: 405, 415.
type statusError struct {
	status int
	detail string
}

// Error is the detail.
func (e *statusError) Error() string { return e.detail }

// fail answers with a problem document. What is not the caller's fault is logged, and shown without its cause.
func (c *call) fail(err error) {
	p := problem{Type: "about:blank"}
	var own *statusError
	var fault *postrider.Error
	switch {
	case errors.As(err, &own):
		p.Status, p.Detail = own.status, own.detail
	case errors.As(err, &fault):
		p.Status, p.Detail = status(fault.Code), fault.Message
		for _, f := range fault.Fields[:min(len(fault.Fields), maxProblemFields)] {
			p.Errors = append(p.Errors, problemField(f))
		}
	case c.r.Context().Err() != nil:
		p.Status, p.Detail = http.StatusServiceUnavailable, "the request was given up"
	default:
		p.Status, p.Detail = http.StatusInternalServerError, "a fault of the server's, which was logged"
	}
	p.Title = http.StatusText(p.Status)
	if p.Status >= http.StatusInternalServerError && c.r.Context().Err() == nil {
		c.logFailure(p.Status, err)
	}
	switch p.Status {
	case http.StatusUnauthorized:
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="postrider"`)
		if c.r.ContentLength != 0 { // a stranger's body is not read, not even to keep the connection
			c.w.Header().Set("Connection", "close")
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		wait := time.Second
		if fault != nil && fault.RetryAfter > 0 {
			wait = fault.RetryAfter
		}
		c.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	c.write(p.Status, "application/problem+json", body)
}

// logFailure logs what is not the caller's fault; of what is away or full at most one a second, since every request meets it.
func (c *call) logFailure(status int, err error) {
	log := &c.api.unavailable
	if status == http.StatusServiceUnavailable {
		now, last := c.api.Clock().UnixMilli(), log.at.Load()
		if now-last < 1000 && now >= last || !log.at.CompareAndSwap(last, now) {
			log.unlogged.Add(1)
			return
		}
	}
	c.api.Logger.Error("a request failed", "method", c.r.Method, "route", c.route.path, "status", status, "tenant", c.tenant, "error", err,
		"more_since_last", log.unlogged.Swap(0))
}

// answerTime is how long a client may take to take an answer.
const answerTime = 30 * time.Second

// write answers.
func (c *call) write(status int, contentType string, body []byte) {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(answerTime)) // not every writer has one
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	c.status = status
	c.w.Write(body)
}

// answer answers with JSON.
func (c *call) answer(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.write(status, "application/json", append(body, '\n'))
	return nil
}

func (c *call) empty(status int) error {
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(status)
	c.status = status
	return nil
}
