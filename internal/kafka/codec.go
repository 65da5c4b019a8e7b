package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/avro"
)

// schemaText is the schema that producers write with.
const schemaText = `{"type":"record","name":"WebhookEvent","namespace":"com.yotpo.platform.webhookdelivery.messages",` +
	`"fields":[{"name":"event_type","type":"string"},{"name":"payload","type":"string"}]}`

// readerText differs in the payload's type: a string promotes to bytes, and its bytes are the same, so UTF-8 is never
// required.
const readerText = `{"type":"record","name":"WebhookEvent","namespace":"com.yotpo.platform.webhookdelivery.messages",` +
	`"fields":[{"name":"event_type","type":"string"},{"name":"payload","type":"bytes"}]}`

// message is a record's value, decoded.
type message struct {
	EventType string `avro:"event_type"`
	Payload   []byte `avro:"payload"`
}

// codec decodes record values: bare Avro, or Avro behind the Confluent frame of a zero byte and a schema id.
type codec struct {
	reader   *avro.Schema
	registry *registry // nil: the frame is stepped over
}

const frameSize = 5

var errLeftOver = errors.New("bytes are left over after the record")

func newCodec(r *registry) (*codec, error) {
	reader, err := avro.Parse(readerText)
	if err != nil {
		return nil, err
	}
	if r != nil {
		r.reader = reader
	}
	return &codec{reader: reader, registry: r}, nil
}

// encode writes bare Avro.
func (c *codec) encode(eventType string, payload []byte) []byte {
	b := make([]byte, 0, len(eventType)+len(payload)+2*binary.MaxVarintLen64)
	b = append(binary.AppendVarint(b, int64(len(eventType))), eventType...)
	return append(binary.AppendVarint(b, int64(len(payload))), payload...)
}

// schema returns the schema id of a framed value, and the Avro in it.
func frame(value []byte) (id int, body []byte, framed bool, err error) {
	if len(value) == 0 || value[0] != 0 {
		return 0, value, false, nil
	}
	if len(value) < frameSize {
		return 0, nil, false, errors.New("the schema frame is cut off")
	}
	return int(binary.BigEndian.Uint32(value[1:])), value[frameSize:], true, nil
}

// decode reads a body with a schema. The payload is a copy.
func decode(schema *avro.Schema, body []byte) (m message, err error) {
	defer func() { // the writer's schema comes from outside; a decoder that panics on it must not end the process
		if r := recover(); r != nil {
			err = fmt.Errorf("not readable with its schema: %v", r)
		}
	}()
	rest, err := schema.Decode(body, &m)
	switch {
	case err != nil:
		return message{}, fmt.Errorf("not Avro of its schema: %w", err)
	case len(rest) > 0:
		return message{}, errLeftOver
	case m.Payload == nil:
		m.Payload = []byte{}
	}
	return m, nil
}
