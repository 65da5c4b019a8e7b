package dispatch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider"
)

// classify says what kind of end an attempt without a response came to, in words that a tenant may read: they hold no
// address but what the tenant chose itself.
func classify(ctx context.Context, err error, timeout time.Duration) (postrider.Class, string) {
	var forbidden *postrider.Error
	if errors.As(err, &forbidden) && forbidden.Code == postrider.CodeForbidden {
		return postrider.ClassForbidden, forbidden.Message
	}
	if ctx.Err() != nil {
		return postrider.ClassTimeout, fmt.Sprintf("no response within %v", timeout)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return postrider.ClassDNS, dnsText(dns)
	}
	if text, ok := tlsText(err); ok {
		return postrider.ClassTLS, text
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return postrider.ClassConnect, connectText(op)
	}
	return broken(err)
}

func dnsText(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "the host's name is not known"
	case err.IsTimeout:
		return "the host's name did not resolve in time"
	}
	return "the host's name did not resolve"
}

func connectText(err *net.OpError) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "the host cannot be reached"
	case err.Timeout():
		return "no connection came about in time"
	}
	return "no connection came about"
}

// tlsText tells what is wrong with a handshake, or reports false.
func tlsText(err error) (string, bool) {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority", true
	case errors.As(err, &hostname):
		return "the certificate is not for this host", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not yet valid", true
	case errors.As(err, &invalid), errors.As(err, &certificate):
		return "the certificate is not valid", true
	case errors.As(err, &record):
		return "the host does not speak TLS on this port", true
	case errors.As(err, &alert):
		return "the TLS handshake failed", true
	}
	text := err.Error()
	return "the TLS handshake failed", strings.Contains(text, "tls:") || strings.Contains(text, "TLS handshake")
}

// broken tells connections that broke from responses that are none.
func broken(err error) (postrider.Class, string) {
	var op *net.OpError
	switch text := err.Error(); {
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.Contains(text, "server closed idle connection"), strings.Contains(text, "GOAWAY"), strings.Contains(text, "stream error"),
		strings.Contains(text, "connection lost"), strings.Contains(text, "closed network connection"):
		return postrider.ClassReset, "the connection broke before a response came"
	case strings.Contains(text, "frame too large"): // what is read as HTTP/2 and is none
	case strings.Contains(text, "exceeded"), strings.Contains(text, "too large"):
		return postrider.ClassProtocol, "the head of the response is too large"
	}
	return postrider.ClassProtocol, "the response is not valid HTTP"
}
