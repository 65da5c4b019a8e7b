package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/seal"
)

func box(tb testing.TB, fill byte) *seal.Box {
	tb.Helper()
	b, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestSealedOpens(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	for _, plain := range [][]byte{nil, {0}, []byte("whsec"), bytes.Repeat([]byte("x"), 10_000)} {
		first, second := b.Seal(plain, seal.SecretAD("acme")), b.Seal(plain, seal.SecretAD("acme"))
		if bytes.Equal(first, second) {
			t.Error("sealing twice gives the same bytes: the nonce is not random")
		}
		if len(plain) > 1 && bytes.Contains(first, plain) {
			t.Error("the plain bytes show")
		}
		got, err := b.Open(first, seal.SecretAD("acme"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%v, %q", err, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	sealed := b.Seal([]byte("secret"), seal.SecretAD("acme"))
	damaged := func(i int) []byte {
		d := bytes.Clone(sealed)
		d[i] ^= 1
		return d
	}
	for name, c := range map[string]struct {
		box    *seal.Box
		sealed []byte
		ad     string
		says   string
	}{
		"another tenant":  {b, sealed, seal.SecretAD("other"), "another tenant or purpose"},
		"another purpose": {b, sealed, seal.HeadersAD("acme"), "another tenant or purpose"},
		"another key":     {box(t, 2), sealed, seal.SecretAD("acme"), "another secret key"},
		"another format":  {b, damaged(0), seal.SecretAD("acme"), "unknown"},
		"key id":          {b, damaged(1), seal.SecretAD("acme"), "another secret key"},
		"nonce":           {b, damaged(6), seal.SecretAD("acme"), "damaged"},
		"tag":             {b, damaged(len(sealed) - 1), seal.SecretAD("acme"), "damaged"},
		"cut":             {b, sealed[:len(sealed)-1], seal.SecretAD("acme"), "damaged"},
		"empty":           {b, nil, seal.SecretAD("acme"), "too few"},
	} {
		_, err := c.box.Open(c.sealed, c.ad)
		if postrider.CodeOf(err) != postrider.CodeInternal || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want it to say %q", name, err, c.says)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := seal.New(make([]byte, n)); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	one, again, other := box(t, 1).Fingerprint(), box(t, 1).Fingerprint(), box(t, 2).Fingerprint()
	if one != again || one == other {
		t.Error("a fingerprint does not name its key")
	}
	print := box(t, 1).Fingerprint()
	if bytes.Contains(print[:], bytes.Repeat([]byte{1}, 8)) {
		t.Error("a fingerprint gives its key away")
	}
}

func FuzzOpen(f *testing.F) {
	b := box(f, 1)
	f.Add(b.Seal([]byte("secret"), "secret/acme"), "secret/acme")
	f.Add([]byte{1}, "")
	f.Fuzz(func(t *testing.T, sealed []byte, ad string) {
		if plain, err := b.Open(sealed, ad); err == nil {
			// Only what was sealed opens, and the seed is all that was.
			if string(plain) != "secret" || ad != "secret/acme" {
				t.Fatalf("opened %q for %q", plain, ad)
			}
		}
		if got, err := b.Open(b.Seal(sealed, ad), ad); err != nil || !bytes.Equal(got, sealed) {
			t.Fatalf("%v, %x", err, got)
		}
	})
}
