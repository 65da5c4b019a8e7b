package postrider

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of fault an [Error] is. The API maps each to one HTTP status.
type Code string

// The codes, with the status that the API answers.
const (
	CodeMalformed    Code = "malformed"    // 400: not JSON, not base64
	CodeUnauthorized Code = "unauthorized" // 401: no key, or a bad one
	CodeForbidden    Code = "forbidden"    // 403: the key may not
	CodeNotFound     Code = "not_found"    // 404: not there, or of another tenant
	CodeConflict     Code = "conflict"     // 409: the state of the thing forbids it
	CodePrecondition Code = "precondition" // 412: If-Match does not match
	CodeTooLarge     Code = "too_large"    // 413
	CodeInvalid      Code = "invalid"      // 422: a fault in a field
	CodeLimited      Code = "limited"      // 429
	CodeGone         Code = "gone"         // 410: past its retention
	CodeUnavailable  Code = "unavailable"  // 503: a part is away or full; repeat later
	CodeInternal     Code = "internal"     // 500: a fault of ours
)

// FieldError names a faulty field, and says what is wrong and what would be right.
type FieldError struct {
	Field   string // as in the request: "url", "retry.base", "items[3].eventType"
	Message string
}

// Error is the error of the domain. Everything that a caller must tell apart is one; any other error is internal.
type Error struct {
	Code       Code
	Message    string        // for the caller to read; holds no secret
	Fields     []FieldError  // every faulty field, with CodeInvalid
	RetryAfter time.Duration // when to repeat, with CodeUnavailable and CodeLimited; 0: unknown
	Err        error         // the cause; never shown to a tenant
}

// Error joins message, fields and cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		if i > 0 || e.Message != "" {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", f.Field, f.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a code. A %w in the format becomes its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	if cause := errors.Unwrap(err); cause != nil {
		return &Error{Code: code, Message: strings.TrimSuffix(err.Error(), ": "+cause.Error()), Err: cause}
	}
	return &Error{Code: code, Message: err.Error()}
}

// Invalid makes an Error of CodeInvalid for one field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Message: "the request has faulty fields",
		Fields: []FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// CodeOf returns the code of the first Error in err's chain, CodeInternal for any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Faults gathers faulty fields, so that a caller hears of all of them at once.
type Faults []FieldError

// Addf adds a fault of a field.
func (f *Faults) Addf(field, format string, args ...any) {
	*f = append(*f, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// Add adds the fields of err, or err itself under field; nil adds nothing.
func (f *Faults) Add(field string, err error) {
	var e *Error
	switch {
	case err == nil:
	case errors.As(err, &e) && len(e.Fields) > 0:
		*f = append(*f, e.Fields...)
	default:
		*f = append(*f, FieldError{Field: field, Message: err.Error()})
	}
}

// Err returns an Error of CodeInvalid with all faults, or nil.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalid, Message: "the request has faulty fields", Fields: f}
}

// fieldMessage is what err says of its one field.
func fieldMessage(err error) string {
	var e *Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return e.Fields[0].Message
	}
	return err.Error()
}
