package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postrider/postrider"
)

const (
	maxEntityBody = 1 << 20
	maxMembers    = 1000 // of an object: more than any that is known here has, and few enough to hold
)

// object is a JSON object whose members were not read yet. A member may be there once.
type object map[string]json.RawMessage

// readObject reads the body as one JSON object. An empty body is an object without members, if that is allowed.
func (c *call) readObject(types []string, mayBeEmpty bool) (object, error) {
	if err := c.checkMedia(types, mayBeEmpty); err != nil {
		return nil, err
	}
	body, err := c.readWithin(maxEntityBody, func(int64) error { return nil })
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 && mayBeEmpty {
		return object{}, nil
	}
	return parseObject(body)
}

// nothing reads the body of a request that has no members: it may be empty, or an empty object.
func (c *call) nothing() error {
	o, err := c.readObject(jsonMedia, true)
	if err != nil {
		return err
	}
	var faults postrider.Faults
	o.read("", &faults, nil)
	return faults.Err()
}

func (c *call) checkMedia(types []string, mayBeEmpty bool) error {
	header := c.r.Header.Get("Content-Type")
	if header == "" && (mayBeEmpty || len(types) > 0) { // curl without -H and the like: it is JSON or it fails to parse
		return nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil && media == "application/x-www-form-urlencoded" { // what curl -d says of anything
		return nil
	}
	for _, t := range types {
		if err == nil && media == t {
			return nil
		}
	}
	return &statusError{http.StatusUnsupportedMediaType, "the body must be " + strings.Join(types, " or ")}
}

// checkCoding refuses a body with a content coding: it is not undone here, and no receiver would hear of it.
func (c *call) checkCoding() error {
	for _, coding := range c.r.Header["Content-Encoding"] {
		if coding == "" || strings.EqualFold(coding, "identity") {
			continue
		}
		c.w.Header().Set("Accept-Encoding", "identity")
		return &statusError{http.StatusUnsupportedMediaType,
			fmt.Sprintf("Content-Encoding %.40q is not taken: a body is read, and a payload delivered, as it comes, so send it as it is to be read, without the header", coding)}
	}
	return nil
}

// bodyError makes an error of one that came while a body was read.
func bodyError(err error, limit int64) error {
	var refused *postrider.Error
	if errors.As(err, &refused) {
		return err
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return postrider.Errorf(postrider.CodeTooLarge, "the body is over %d bytes", limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &statusError{http.StatusRequestTimeout, "the body did not come in time"}
	}
	return postrider.Errorf(postrider.CodeMalformed, "the body broke off")
}

func parseObject(raw []byte) (object, error) {
	if !utf8.Valid(raw) {
		return nil, postrider.Errorf(postrider.CodeMalformed, "the body is not UTF-8")
	}
	if err := validJSON(raw); err != nil {
		return nil, malformed(err, "object")
	}
	return objectOf(raw)
}

// asJSON has jsontext take what encoding/json takes: what is read is the latter's business.
var asJSON = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// validJSON tells why something is not one JSON value, io.EOF if it is nothing. jsontext looks through a batch six times as fast as
// encoding/json, whose word counts where it finds a fault.
func validJSON(raw []byte) error {
	if jsontext.Value(raw).IsValid(asJSON...) {
		return nil
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return io.EOF
	}
	var value json.RawMessage
	return json.Unmarshal(raw, &value)
}

// objectOf is the object that valid JSON is.
func objectOf(valid []byte) (object, error) {
	if bytes.TrimLeft(valid, jsonSpace)[0] != '{' {
		return nil, &postrider.Error{Code: postrider.CodeInvalid, Message: "the body must be a JSON object"}
	}
	o := object{}
	var faults postrider.Faults
	for name, value := range members(valid) {
		if _, twice := o[name]; twice {
			faults.Addf(name, "is there twice")
		}
		if o[name] = value; len(o) > maxMembers {
			return nil, &postrider.Error{Code: postrider.CodeInvalid, Message: fmt.Sprintf("an object has more than %d members", maxMembers)}
		}
	}
	return o, faults.Err()
}

// malformed tells why the body is no JSON; wanted is what it should have been.
func malformed(err error, wanted string) error {
	if err == io.EOF { //nolint:errorlint // Decoder returns it bare
		return postrider.Errorf(postrider.CodeMalformed, "the body is empty or breaks off: a JSON %s is needed", wanted)
	}
	return postrider.Errorf(postrider.CodeMalformed, "the body is not JSON: %s", err.Error())
}

// member reads one member of an object. null is told by ok.
type member func(raw json.RawMessage, null bool) error

// read gives each member to its reader. Unknown members are faults, by name.
func (o object) read(prefix string, faults *postrider.Faults, members map[string]member) {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		read, known := members[name]
		if !known {
			faults.Addf(prefix+name, "is not known here")
			continue
		}
		raw := o[name]
		faults.Add(prefix+name, read(raw, string(raw) == "null"))
	}
}

// made makes something of an object. Its error has, besides the faults of apply, the members that only the server gives.
func (o object) made(apply func(object) error, readOnly ...string) error {
	var faults postrider.Faults
	rest := maps.Clone(o)
	for _, name := range readOnly {
		if _, there := o[name]; there {
			faults.Addf(name, "is read-only: it is given by the server")
			delete(rest, name)
		}
	}
	err := apply(rest)
	if postrider.CodeOf(err) == postrider.CodeInvalid {
		faults = addOthers(faults, err)
	}
	if len(faults) > 0 {
		return faults.Err()
	}
	return err
}

// text reads a string; null makes it empty.
func text(dest *string) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = ""
			return nil
		}
		return typed(raw, dest, "a string")
	}
}

func typed(raw json.RawMessage, dest any, want string) error {
	if err := json.Unmarshal(raw, dest); err != nil {
		return fmt.Errorf("must be %s", want)
	}
	return nil
}

// required refuses null.
func required(m member) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			return fmt.Errorf("must not be null")
		}
		return m(raw, null)
	}
}

// duration reads a Go duration; null makes it zero.
func duration(dest *time.Duration) member {
	return func(raw json.RawMessage, null bool) error {
		if null {
			*dest = 0
			return nil
		}
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf(`must be a duration in quotes, such as "10s" or "4h"`)
		}
		d, err := parseDuration(s)
		if err != nil || d <= 0 {
			return fmt.Errorf(`%q is no duration: use one such as "10s" or "4h"`, s)
		}
		*dest = d
		return nil
	}
}

// parseDuration reads a Go duration, or a number of days such as 7d.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// readOnly accepts a member that says what is so anyway.
func readOnly(current any) member {
	return func(raw json.RawMessage, _ bool) error {
		want, err := json.Marshal(current)
		if err != nil {
			return err
		}
		var a, b any
		if json.Unmarshal(raw, &a) != nil || json.Unmarshal(want, &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			return fmt.Errorf("is read-only")
		}
		return nil
	}
}
