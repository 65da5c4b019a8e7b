// Package sqs is the queue on Amazon SQS, or a server that speaks its protocol.
//
// Each lane is a standard queue: name, name-retry, name-bulk, name-outcomes. A message is one item, encoded by package wire
// and written as base64, since bodies are text. Puts of many callers meet in batches of up to ten entries and up to the
// size that the queue takes; so do removals. A batch that fails in part is repeated entry by entry.
//
// A lease is a message's visibility timeout. MessageGroupId is the tenant, so that AWS's fair queues can help; nothing
// here relies on it.
package sqs
