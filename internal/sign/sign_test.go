package sign_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sign"
)

// The published vectors: https://github.com/standard-webhooks/standard-webhooks, in the tests of every language.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorAt        = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func header(id, timestamp, signature string) http.Header {
	h := http.Header{}
	h.Set(sign.HeaderID, id)
	h.Set(sign.HeaderTimestamp, timestamp)
	h.Set(sign.HeaderSignature, signature)
	return h
}

func TestPublishedVector(t *testing.T) {
	t.Parallel()
	raw, err := sign.ParseSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	timestamp, signature := sign.Headers([][]byte{raw}, vectorID, time.Unix(vectorAt, 0), []byte(vectorBody))
	if timestamp != "1614265330" || signature != vectorSignature {
		t.Fatalf("got %q, %q; want 1614265330, %q", timestamp, signature, vectorSignature)
	}
	if err := sign.Verify([]*sign.Key{sign.NewKey(raw)}, header(vectorID, timestamp, signature), []byte(vectorBody), time.Unix(vectorAt+60, 0)); err != nil {
		t.Fatal(err)
	}
}

// TestPublishedLibrary signs with two secrets, as while one is rotated out; a receiver that has either takes the message.
func TestPublishedLibrary(t *testing.T) {
	t.Parallel()
	newest, shownNewest := sign.NewSecret()
	older, shownOlder := sign.NewSecret()
	now := time.Now()
	for _, body := range [][]byte{nil, []byte(vectorBody), bytes.Repeat([]byte{0, 0xff, '.', '%'}, 50_000)} {
		timestamp, signature := sign.Headers([][]byte{newest, older}, vectorID, now, body)
		if n := len(strings.Fields(signature)); n != 2 {
			t.Fatalf("%d signatures, want 2: %q", n, signature)
		}
		for _, shown := range []string{shownNewest, shownOlder} {
			receiver, err := standardwebhooks.NewWebhook(shown)
			if err != nil {
				t.Fatal(err)
			}
			if err := receiver.Verify(body, header(vectorID, timestamp, signature)); err != nil {
				t.Error(err)
			}
			if err := receiver.Verify(append([]byte("x"), body...), header(vectorID, timestamp, signature)); err == nil {
				t.Error("another body passes")
			}
		}
		if _, first := sign.Headers([][]byte{newest}, vectorID, now, body); !strings.HasPrefix(signature, first+" ") {
			t.Error("the newest secret does not sign first")
		}
	}
}

func TestVerifyWhatTheLibrarySigned(t *testing.T) {
	t.Parallel()
	raw, shown := sign.NewSecret()
	sender, err := standardwebhooks.NewWebhook(shown)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(vectorAt, 0)
	signature, err := sender.Sign(vectorID, at, []byte(vectorBody))
	if err != nil {
		t.Fatal(err)
	}
	keys := []*sign.Key{sign.NewKey(make([]byte, 32)), sign.NewKey(raw)}
	valid := header(vectorID, "1614265330", "v1a,xxxx v1,AAAA "+signature)
	if err := sign.Verify(keys, valid, []byte(vectorBody), at); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		header http.Header
		body   string
		now    time.Time
	}{
		"body":      {valid, "x", at},
		"id":        {header("msg_x", "1614265330", signature), vectorBody, at},
		"timestamp": {header(vectorID, "1614265331", signature), vectorBody, at},
		"no number": {header(vectorID, "soon", signature), vectorBody, at},
		"version":   {header(vectorID, "1614265330", "v2"+strings.TrimPrefix(signature, "v1")), vectorBody, at},
		"empty":     {header(vectorID, "1614265330", "v1,"), vectorBody, at},
		"missing":   {http.Header{}, vectorBody, at},
		"too old":   {valid, vectorBody, at.Add(sign.Tolerance + time.Second)},
		"too new":   {valid, vectorBody, at.Add(-sign.Tolerance - time.Second)},
		"flood":     {header(vectorID, "1614265330", strings.Repeat("v1,AAAA ", 40)+signature), vectorBody, at},
	} {
		if err := sign.Verify(keys, bad.header, []byte(bad.body), bad.now); postrider.CodeOf(err) != postrider.CodeUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeyIsSharedByGoroutines runs under -race: a Key signs for many messages at once.
func TestKeyIsSharedByGoroutines(t *testing.T) {
	t.Parallel()
	raw, _ := sign.NewSecret()
	key := sign.NewKey(raw)
	at := time.Unix(vectorAt, 0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(i)}, 100)
			_, want := sign.Headers([][]byte{raw}, vectorID, at, body)
			for range 50 {
				if _, got := sign.Message([]*sign.Key{key}, vectorID, at, body); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	raw, shown := sign.NewSecret()
	again, _ := sign.NewSecret()
	if len(raw) != sign.SecretSize || bytes.Equal(raw, again) {
		t.Fatalf("secrets of %d bytes, or twice the same", len(raw))
	}
	back, err := sign.ParseSecret(shown)
	if err != nil || !bytes.Equal(back, raw) {
		t.Fatalf("%v, %x", err, back)
	}
	for _, bad := range []string{"", "whsec_", "whsec_****", "whsec_AAAA", shown + "\n", shown[:20] + "\n" + shown[20:], "whsec_" + shown, sign.Show(make([]byte, 65))} {
		if _, err := sign.ParseSecret(bad); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(vectorSecret)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, shown string) {
		raw, err := sign.ParseSecret(shown)
		if err == nil && strings.TrimPrefix(sign.Show(raw), "whsec_") != strings.TrimPrefix(shown, "whsec_") {
			t.Fatalf("%q reads as %x", shown, raw)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorSignature, []byte(vectorBody))
	raw, err := sign.ParseSecret(vectorSecret)
	if err != nil {
		f.Fatal(err)
	}
	receiver, err := standardwebhooks.NewWebhookRaw(raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := header(id, timestamp, signature)
		ours := sign.Verify([]*sign.Key{sign.NewKey(raw)}, h, body, time.Unix(vectorAt, 0))
		if ours == nil && receiver.VerifyIgnoringTimestamp(body, h) != nil {
			t.Fatal("passes here, not there")
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	raw, _ := sign.NewSecret()
	keys := []*sign.Key{sign.NewKey(raw)}
	body := make([]byte, 1024)
	at := time.Unix(vectorAt, 0)
	b.ReportAllocs()
	for b.Loop() {
		sign.Message(keys, vectorID, at, body)
	}
}
