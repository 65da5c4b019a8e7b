package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/sign"
)

// maxMessage is the most that an inbox reads of a message.
const maxMessage = 1 << 30

// inbox is a receiver on loopback. It checks the signature of what arrives and tells of it.
type inbox struct {
	url      string
	arrivals chan arrival // whoever makes an inbox reads it
	server   *http.Server
	answer   func(*arrival) int

	mu   sync.Mutex
	keys []*sign.Key
}

// arrival is one message that arrived.
type arrival struct {
	ID          string
	Type        string
	Attempt     int
	Replay      int
	ContentType string
	Body        []byte
	At          time.Time
	Digest      [sha256.Size]byte
	Fault       error // of the signature; nil: it is good
	Answered    int
}

// openInbox listens on an address of loopback. answer tells the status for a message.
func openInbox(ctx context.Context, address string, answer func(*arrival) int) (*inbox, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("starting a receiver: %w", err)
	}
	b := &inbox{url: "http://" + l.Addr().String() + "/", arrivals: make(chan arrival, 64), answer: answer}
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go b.server.Serve(l) //nolint:errcheck // it ends with close
	return b, nil
}

// trust sets the secret that messages are to be signed with.
func (b *inbox) trust(secret string) error {
	raw, err := sign.ParseSecret(secret)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys = []*sign.Key{sign.NewKey(raw)}
	return nil
}

// ServeHTTP takes a message.
func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "messages are POSTed", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, "the message did not arrive whole", http.StatusBadRequest)
		return
	}
	a := arrival{
		ID: r.Header.Get(sign.HeaderID), Type: r.Header.Get("Postrider-Event-Type"), ContentType: r.Header.Get("Content-Type"),
		Body: body, Digest: sha256.Sum256(body), At: time.Now(),
	}
	a.Attempt, _ = strconv.Atoi(r.Header.Get("Postrider-Attempt")) // 0: it was not told
	a.Replay, _ = strconv.Atoi(r.Header.Get("Postrider-Replay"))
	b.mu.Lock()
	keys := b.keys
	b.mu.Unlock()
	a.Fault = sign.Verify(keys, r.Header, body, a.At)
	if a.Answered = http.StatusUnauthorized; a.Fault == nil {
		a.Answered = b.answer(&a)
	}
	w.WriteHeader(a.Answered)
	select {
	case b.arrivals <- a:
	case <-r.Context().Done():
	}
}

// close ends the receiver.
func (b *inbox) close() { b.server.Close() }

// signature says whether the signature of a message is good.
func (t *terminal) signature(a *arrival) string {
	if a.Fault != nil {
		return t.paint(red, "signature bad: "+a.Fault.Error())
	}
	return t.paint(green, "signature ok")
}

// answered shows the status that a message was answered with.
func (t *terminal) answered(a *arrival) string {
	style := green
	if a.Answered >= http.StatusMultipleChoices {
		style = yellow
	}
	return t.paint(style, fmt.Sprintf("answered %d", a.Answered))
}
