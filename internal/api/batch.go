package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postrider/postrider"
)

// batchItem is one event of a batch.
type batchItem struct {
	EventType     string          `json:"eventType"`
	Payload       json.RawMessage `json:"payload,omitempty" doc:"a string sends its UTF-8, an object or array its exact bytes"`
	PayloadBase64 string          `json:"payloadBase64,omitempty" doc:"any bytes, in base64; instead of payload"`
	ID            string          `json:"id,omitempty"`
	ContentType   string          `json:"contentType,omitempty"`
}

// publishBatch takes several events: all are checked before any is written.
func publishBatch(c *call) error {
	var faults postrider.Faults
	c.known(&faults)
	if err := faults.Err(); err != nil {
		return err
	}
	if err := c.checkMedia(jsonMedia, false); err != nil {
		return err
	}
	events, share, err := c.readBatch()
	if err != nil {
		return err
	}
	if err := c.traced(events, share.release); err != nil {
		return err
	}
	out := list[eventID]{Items: make([]eventID, len(events))}
	for i, e := range events {
		out.Items[i].ID = e.ID
	}
	return c.answer(http.StatusAccepted, out)
}

// readBatch reads the events of a batch. While it parses them, both the body and their payloads are held, which are no larger; then
// the payloads alone.
func (c *call) readBatch() ([]*postrider.Event, *share, error) {
	body, share, err := c.readPayload(postrider.MaxBatchBytes)
	if err != nil {
		return nil, nil, err
	}
	if err := share.grow(int64(cap(body) + len(body))); err != nil {
		return nil, nil, err
	}
	events, err := parseBatch(body, c.tenant, c.api.maxPayload())
	if err != nil {
		share.release()
		return nil, nil, err
	}
	held := 0
	for _, e := range events {
		held += cap(e.Payload.Bytes)
	}
	share.shrink(int64(held))
	return events, share, nil
}

// parseBatch reads a batch. Its events do not refer to the body.
func parseBatch(body []byte, tenant string, maxPayload int64) ([]*postrider.Event, error) {
	if !utf8.Valid(body) {
		return nil, postrider.Errorf(postrider.CodeMalformed, "the body is not UTF-8")
	}
	if err := validJSON(body); err != nil {
		return nil, malformed(err, "array")
	}
	if bytes.TrimLeft(body, jsonSpace)[0] != '[' {
		return nil, &postrider.Error{Code: postrider.CodeInvalid, Message: "the body must be a JSON array of events"}
	}
	var events []*postrider.Event
	var faults postrider.Faults
	n := 0
	for raw := range elements(body) {
		if n == postrider.MaxBatchEvents {
			faults.Addf("items", "has more than %d events", postrider.MaxBatchEvents)
			return nil, faults.Err()
		}
		e := &postrider.Event{Tenant: tenant}
		prefix := fmt.Sprintf("items[%d].", n)
		n++
		if err := parseItem(raw, e, prefix, maxPayload, &faults); err != nil {
			return nil, err
		}
		events = append(events, e)
		if len(faults) > maxProblemFields {
			return nil, faults.Err()
		}
	}
	if n == 0 {
		faults.Addf("items", "must have at least one event")
	}
	return events, faults.Err()
}

// parseItem reads one event. A payload over the limit is an error of its own kind.
func parseItem(raw json.RawMessage, e *postrider.Event, prefix string, maxPayload int64, faults *postrider.Faults) error {
	o, err := objectOf(raw) // the batch is valid, so it is
	if err != nil {
		addItem(faults, prefix, raw, err)
		return nil
	}
	given := false
	o.read(prefix, faults, map[string]member{
		"eventType":     required(checked(&e.Type, postrider.CheckPublishedType)),
		"id":            checked(&e.ID, postrider.CheckEventID),
		"contentType":   checked(&e.ContentType, postrider.CheckContentType),
		"payload":       func(raw json.RawMessage, _ bool) error { given = true; return payload(raw, e) },
		"payloadBase64": required(func(raw json.RawMessage, _ bool) error { given = true; return payloadBase64(raw, e) }),
	})
	_, plain := o["payload"]
	_, encoded := o["payloadBase64"]
	switch {
	case !given && !plain && !encoded:
		faults.Addf(prefix+"payload", "is missing: give payload or payloadBase64")
	case plain && encoded:
		faults.Addf(prefix+"payloadBase64", "is there besides payload: give one of them")
	}
	if _, there := o["eventType"]; !there {
		faults.Addf(prefix+"eventType", "is missing")
	}
	if e.ID == "" {
		e.ID = newEventID()
	}
	e.Payload.Size = int64(len(e.Payload.Bytes))
	if e.Payload.Size > maxPayload {
		return &postrider.Error{Code: postrider.CodeTooLarge, Message: "a payload is too large", Fields: []postrider.FieldError{
			{Field: prefix + "payload", Message: fmt.Sprintf("has %d bytes; at most %d are taken", e.Payload.Size, maxPayload)}}}
	}
	return nil
}

// addItem adds why an item was not read: by the members that are there twice, where it is that.
func addItem(faults *postrider.Faults, prefix string, raw json.RawMessage, err error) {
	var fault *postrider.Error
	switch {
	case errors.As(err, &fault) && len(fault.Fields) > 0:
		for _, f := range fault.Fields {
			faults.Addf(prefix+f.Field, "%s", f.Message)
		}
	case raw[0] != '{':
		faults.Addf(strings.TrimSuffix(prefix, "."), "must be a JSON object")
	default:
		faults.Addf(strings.TrimSuffix(prefix, "."), "%v", err)
	}
}

// checked reads a string and checks it; null and "" are no id and no content type, but not a type.
func checked(dest *string, check func(string) error) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			return nil
		}
		if err := typed(raw, dest, "a string"); err != nil {
			return err
		}
		if err := check(*dest); err != nil {
			return fmt.Errorf("%s", firstMessage(err))
		}
		return nil
	}
}

// firstMessage is what an error says of its first field.
func firstMessage(err error) string {
	var faults postrider.Faults
	faults.Add("", err)
	return faults[0].Message
}

func payload(raw json.RawMessage, e *postrider.Event) error {
	switch raw[0] {
	case '{', '[':
		e.Payload.Bytes = bytes.Clone(raw) // one event that stays must not keep the whole body
		return nil
	case '"':
		if loneSurrogate(raw) {
			return fmt.Errorf(`has a \u escape that is half of a character: use payloadBase64 for what is not text`)
		}
		var err error
		if e.Payload.Bytes, err = unquoted(raw); err != nil {
			return fmt.Errorf("is no string")
		}
		return nil
	}
	return fmt.Errorf("must be a string, an object or an array; use payloadBase64 for other bytes")
}

// loneSurrogate reports whether a JSON string escapes a surrogate without its other half: it stands for no text.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		switch kind := surrogate(raw[i-1:]); {
		case kind == 'h' && surrogate(raw[min(i+5, len(raw)):]) == 'l':
			i += 10
		case kind != 0:
			return true
		}
	}
	return false
}

// surrogate tells whether an escape \uXXXX is the high or the low half of a character.
func surrogate(b []byte) byte {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' || b[2] != 'd' && b[2] != 'D' {
		return 0
	}
	switch c := b[3] | 0x20; {
	case b[3] == '8' || b[3] == '9' || c == 'a' || c == 'b':
		return 'h'
	case c >= 'c' && c <= 'f':
		return 'l'
	}
	return 0
}

// unquoted is what a JSON string stands for, made at once: what is thrown away is memory too until it is collected.
func unquoted(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return bytes.Clone(raw[1 : len(raw)-1]), nil
	}
	return jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw)
}

func payloadBase64(raw json.RawMessage, e *postrider.Event) error {
	if raw[0] != '"' {
		return fmt.Errorf("must be a string")
	}
	text := []byte(raw[1 : len(raw)-1])
	if bytes.IndexByte(raw, '\\') >= 0 {
		var err error
		if text, err = unquoted(raw); err != nil {
			return fmt.Errorf("must be a string")
		}
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(decoded, text)
	if err != nil {
		return fmt.Errorf("is not base64 (RFC 4648, with padding)")
	}
	e.Payload.Bytes = decoded[:n]
	return nil
}
