package sqlite

import (
	"hash/fnv"

	"github.com/google/uuid"
)

const uuidLength = 36

// idKey is what the indexes by event id have of a tenant's id: 64 bits, equal for few ids that differ.
//
// An id that ends with a UUID of version 7 (RFC 9562, section 5.7), as those that the API makes, begins with its time, to the
// millisecond, followed by 16 bits of the hash: so what is inserted together lies together. Of others it is the hash, each of
// which dirties a page of its own as soon as the index is large, and a page is four times an event of 1 KB.
func idKey(tenant, id string) int64 {
	hash := idHash(tenant, id)
	if len(id) < uuidLength {
		return hash
	}
	u, err := uuid.Parse(id[len(id)-uuidLength:])
	if err != nil || u.Version() != 7 {
		return hash
	}
	var at int64
	for _, b := range u[:6] {
		at = at<<8 | int64(b)
	}
	return at<<16 | hash&0xffff
}

// idHash is the key that all ids had in files of schemas before 5.
func idHash(tenant, id string) int64 {
	h := fnv.New64a()
	h.Write([]byte(tenant))
	h.Write([]byte{0})
	h.Write([]byte(id))
	return int64(h.Sum64())
}
