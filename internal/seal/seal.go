// Package seal encrypts what must not be read from the database: the secrets and headers of targets.
//
// What is sealed is AES-256-GCM under the secret key, with a random nonce, bound by additional data to its tenant and
// purpose: a row that is copied to another tenant, or a header put where a secret belongs, does not open. The first bytes
// name the format and the key, so that a wrong key is told apart from damage.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"

	"github.com/postrider/postrider"
)

// KeySize is the length of a secret key, in bytes.
const KeySize = 32

// format: version, 4 bytes of the key's fingerprint, 12 bytes nonce, ciphertext, 16 bytes tag.
const (
	version    = 1
	keyIDSize  = 4
	headSize   = 1 + keyIDSize
	nonceSize  = 12
	tagSize    = 16
	minSealed  = headSize + nonceSize + tagSize
	printLabel = "postrider secret key fingerprint v1\x00"
)

// Box seals and opens with one key. It is safe for concurrent use.
type Box struct {
	aead  cipher.AEAD
	print [32]byte
}

// New makes a Box of a key of KeySize bytes, else a CodeInvalid. It keeps no reference to the key.
func New(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, postrider.Invalid("secretKey", "has %d bytes; it must have %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeInternal, "secret key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeInternal, "secret key: %w", err)
	}
	return &Box{aead: aead, print: sha256.Sum256(append([]byte(printLabel), key...))}, nil
}

// Fingerprint names the key without giving it away. The database keeps it, so that a start with another key is refused.
func (b *Box) Fingerprint() [32]byte { return b.print }

// SecretAD is the additional data of a tenant's signing secrets.
func SecretAD(tenant string) string { return "secret/" + tenant }

// HeadersAD is the additional data of the headers of a tenant's targets.
func HeadersAD(tenant string) string { return "headers/" + tenant }

// Seal encrypts plain. It opens only with the same additional data.
func (b *Box) Seal(plain []byte, ad string) []byte {
	out := make([]byte, headSize+nonceSize, minSealed+len(plain))
	out[0] = version
	copy(out[1:], b.print[:keyIDSize])
	nonce := out[headSize:]
	_, _ = rand.Read(nonce) // never fails: the program ends if the system has no randomness
	return b.aead.Seal(out, nonce, plain, bound(out[:headSize], ad))
}

// Open decrypts what Seal made. The error is a CodeInternal that says whether the format, the key, or the bytes and their
// additional data are wrong. The bytes returned are the caller's.
func (b *Box) Open(sealed []byte, ad string) ([]byte, error) {
	switch {
	case len(sealed) < minSealed:
		return nil, postrider.Errorf(postrider.CodeInternal, "sealed data: %d bytes are too few", len(sealed))
	case sealed[0] != version:
		return nil, postrider.Errorf(postrider.CodeInternal, "sealed data: format %d is unknown to this version", sealed[0])
	case string(sealed[1:headSize]) != string(b.print[:keyIDSize]):
		return nil, postrider.Errorf(postrider.CodeInternal, "sealed data: it was sealed with another secret key")
	}
	nonce, rest := sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:]
	plain, err := b.aead.Open(make([]byte, 0, len(rest)-tagSize), nonce, rest, bound(sealed[:headSize], ad))
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeInternal, "sealed data: it is damaged, or belongs to another tenant or purpose: %w", err)
	}
	return plain, nil
}

// bound is what is authenticated besides the ciphertext: the head and the additional data.
func bound(head []byte, ad string) []byte {
	return append(append(make([]byte, 0, len(head)+len(ad)), head...), ad...)
}
