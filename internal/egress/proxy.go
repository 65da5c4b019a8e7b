package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postrider/postrider"
)

// proxy makes tunnels through an HTTP proxy. It is asked for addresses only, never for names, so that its resolver opens no
// hole; plain http goes through a tunnel too.
type proxy struct {
	addr   string
	header http.Header
	tls    *tls.Config // nil: the proxy itself speaks plain HTTP
}

// newProxy makes a proxy of its URL; nil of nil.
func newProxy(u *url.URL, roots *x509.CertPool) (*proxy, error) {
	if u == nil {
		return nil, nil //nolint:nilnil // no proxy is wanted
	}
	if u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, postrider.Invalid("egressProxy", "must be http:// or https://, a host and a port")
	}
	p := &proxy{header: make(http.Header)}
	port := u.Port()
	if u.Scheme == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	p.addr = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		password, _ := u.User.Password()
		p.header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	return p, nil
}

// connect makes a tunnel to addr. Errors do not name the proxy: tenants read them.
func (p *proxy) connect(ctx context.Context, direct dialFunc, network, addr string) (net.Conn, error) {
	conn, err := direct(ctx, network, p.addr)
	if err != nil {
		return nil, errors.New("egress proxy: cannot be reached")
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(DefaultConnectTimeout)
	}
	_ = conn.SetDeadline(deadline) // if it fails, so does what follows
	interrupt := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	tunnel, err := p.tunnel(ctx, conn, addr)
	if !interrupt() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("egress proxy: %w", err)
	}
	return tunnel, nil
}

// tunnel asks for addr over a connection to the proxy.
func (p *proxy) tunnel(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.New("TLS handshake failed") // its cause may name the proxy
		}
		conn = secure
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: p.header}
	if err := request.Write(conn); err != nil {
		return nil, errors.New("the connection broke")
	}
	reader := bufio.NewReaderSize(io.LimitReader(conn, MaxResponseHeader), 4<<10)
	response, err := http.ReadResponse(reader, request) //nolint:bodyclose // closing would read on; the connection is closed instead
	if err != nil {
		return nil, errors.New("its answer is not HTTP, too long, or did not come in time")
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %d to CONNECT", response.StatusCode)
	}
	if reader.Buffered() > 0 {
		return nil, errors.New("it sent bytes before the target could")
	}
	return conn, nil
}
