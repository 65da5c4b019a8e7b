// Package s3 keeps payloads in an S3-compatible object store.
//
// Each payload is one object, put once and read whole. The server checks what it receives by a CRC32; a CRC32C of the payload
// travels with the object, and is compared when it is read, so that a payload that was damaged anywhere is never sent.
// Objects expire by age: by a lifecycle rule of the bucket, which is checked at the start and made where that is permitted;
// where the server has no lifecycle calls, [Store.Expire] sweeps them.
//
// s3:ListBucket is needed to read: without it S3 answers 403 where an object is missing, and a payload that is lost could not
// be told from one that may not be read.
package s3
