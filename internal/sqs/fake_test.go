package sqs_test

import (
	"crypto/md5" //nolint:gosec // the protocol's checksum
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/internal/sqs"
)

// fake speaks as much of SQS's JSON protocol as the engine does. It keeps messages in memory, for ever visible until they are
// deleted or hidden; what a real server does is tested on real ones.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu         sync.Mutex
	away       bool
	attributes map[string]string // of every queue
	missing    bool              // queues are made first
	deny       map[string]string // by operation: the error code
	refuse     func(body string) (code string, senderFault bool)
	tooLong    int // a batch of more bytes is refused as a whole; 0: none is
	requests   map[string]int
	batches    []int // entries of the sends
	made       map[string]map[string]string
	queues     map[string][]*message
	serial     int
}

type message struct {
	id, body, group string
	receives, delay int
	sent, until     time.Time
	hidden          []int // by change of visibility
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, deny: map[string]string{}, requests: map[string]int{}, queues: map[string][]*message{}, made: map[string]map[string]string{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// with changes the fake.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.requests)
}

// open opens a queue on the fake; t.Setenv is not used, so that tests run in parallel.
func (f *fake) open(change ...func(*sqs.Options)) (*sqs.Queue, error) {
	o := sqs.Options{URL: "sqs://q?region=us-east-1&endpoint=" + f.server.URL, Lease: time.Minute, Timeout: time.Minute, Clock: time.Now,
		Logger: slog.New(slog.NewTextHandler(f.t.Output(), nil)), Registerer: prometheus.NewRegistry()}
	for _, c := range change {
		c(&o)
	}
	return sqs.Open(f.t.Context(), o)
}

func (f *fake) mustOpen(change ...func(*sqs.Options)) *sqs.Queue {
	f.t.Helper()
	q, err := f.open(change...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = q.Close() })
	return q
}

type wireEntry struct {
	ID                string `json:"Id"`
	MessageBody       string
	MessageGroupID    string `json:"MessageGroupId"`
	DelaySeconds      int
	ReceiptHandle     string
	VisibilityTimeout int
}

type wireRequest struct {
	wireEntry
	QueueName           string
	QueueURL            string `json:"QueueUrl"`
	Attributes          map[string]string
	Entries             []wireEntry
	MaxNumberOfMessages int
	WaitTimeSeconds     int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in wireRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	f.requests[op]++
	away, code := f.away, f.deny[op]
	f.mu.Unlock()
	if away {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if code != "" {
		fail(w, code)
		return
	}
	switch op {
	case "GetQueueUrl", "CreateQueue":
		f.find(w, op, &in)
	case "GetQueueAttributes":
		f.mu.Lock()
		defer f.mu.Unlock()
		answer(w, map[string]any{"Attributes": f.attributes})
	case "SendMessageBatch":
		f.send(w, &in)
	case "ReceiveMessage":
		f.receive(w, r, &in)
	case "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch":
		f.end(w, op, &in)
	default:
		f.t.Errorf("operation %q", op)
	}
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func fail(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusBadRequest)
	answer(w, map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": "because"})
}

func (f *fake) find(w http.ResponseWriter, op string, in *wireRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == "CreateQueue" {
		f.made[in.QueueName] = in.Attributes
	} else if f.missing && f.made[in.QueueName] == nil {
		fail(w, "QueueDoesNotExist")
		return
	}
	answer(w, map[string]string{"QueueUrl": f.server.URL + "/" + in.QueueName})
}

func (f *fake) queue(in *wireRequest) string {
	return in.QueueURL[strings.LastIndex(in.QueueURL, "/")+1:]
}

func (f *fake) send(w http.ResponseWriter, in *wireRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, len(in.Entries))
	size := 0
	for _, e := range in.Entries {
		size += len(e.MessageBody)
	}
	if f.tooLong > 0 && size > f.tooLong {
		fail(w, "BatchRequestTooLong")
		return
	}
	var sent, failed []map[string]any
	for _, e := range in.Entries {
		if f.refuse != nil {
			if code, fault := f.refuse(e.MessageBody); code != "" {
				failed = append(failed, map[string]any{"Id": e.ID, "Code": code, "SenderFault": fault})
				continue
			}
		}
		f.serial++
		f.queues[f.queue(in)] = append(f.queues[f.queue(in)], &message{id: fmt.Sprint(f.serial), body: e.MessageBody, group: e.MessageGroupID,
			delay: e.DelaySeconds, sent: time.Now()})
		sum := md5.Sum([]byte(e.MessageBody)) //nolint:gosec // the protocol's checksum
		sent = append(sent, map[string]any{"Id": e.ID, "MessageId": fmt.Sprint(f.serial), "MD5OfMessageBody": hex.EncodeToString(sum[:])})
	}
	answer(w, map[string]any{"Successful": sent, "Failed": failed})
}

func (f *fake) receive(w http.ResponseWriter, r *http.Request, in *wireRequest) {
	deadline := time.After(time.Duration(in.WaitTimeSeconds) * time.Second)
	for {
		if got := f.visible(in); len(got) > 0 {
			answer(w, map[string]any{"Messages": got})
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.Context().Done():
			return
		case <-deadline:
			answer(w, map[string]any{})
			return
		}
	}
}

func (f *fake) visible(in *wireRequest) (got []map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.queues[f.queue(in)] {
		if len(got) == in.MaxNumberOfMessages {
			break
		}
		if time.Now().Before(m.until) {
			continue
		}
		m.receives++
		m.until = time.Now().Add(time.Duration(in.VisibilityTimeout) * time.Second)
		sum := md5.Sum([]byte(m.body)) //nolint:gosec // the protocol's checksum
		got = append(got, map[string]any{"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:]),
			"Attributes": map[string]string{"ApproximateReceiveCount": fmt.Sprint(m.receives), "SentTimestamp": fmt.Sprint(m.sent.UnixMilli()), "MessageGroupId": m.group}})
	}
	return got
}

func (f *fake) end(w http.ResponseWriter, op string, in *wireRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == "ChangeMessageVisibility" {
		in.Entries = []wireEntry{in.wireEntry}
	}
	name := f.queue(in)
	for _, e := range in.Entries {
		for i, m := range f.queues[name] {
			if m.id != e.ReceiptHandle {
				continue
			}
			if op == "DeleteMessageBatch" {
				f.queues[name] = append(f.queues[name][:i:i], f.queues[name][i+1:]...)
			} else {
				m.hidden = append(m.hidden, e.VisibilityTimeout)
				m.until = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
			}
			break
		}
	}
	answer(w, map[string]any{"Successful": []any{}, "Failed": []any{}})
}
