// Package s3 keeps payloads in an S3-compatible object store.
//
// Each payload is one object, put once and read whole, with the SDK's CRC32 checksum checked at both ends. Objects expire
// by age: by a lifecycle rule of the bucket, which is checked at the start and made where that is permitted; where the
// server has no lifecycle calls, [Store.Expire] sweeps them.
package s3
