// Package egress makes the connections to targets, and guards them: no message reaches an address that is not public, unless
// an operator allows it.
//
// A tenant chooses where messages go, so each target is a chance to reach what only the server can reach. The guard resolves
// names itself, on every dial, vets each address of the answer, and connects to the vetted address, not to the name: an
// answer that changes between check and use gains nothing. It follows no redirect and ignores the environment's proxy
// variables. Behind an egress proxy it resolves and vets too, and asks the proxy for the vetted address.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"code.dny.dev/ssrf"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// Defaults and limits of a Guard.
const (
	DefaultConnectTimeout = 10 * time.Second
	DefaultMaxIdle        = 4096
	IdleTimeout           = 90 * time.Second
	MaxResponseHeader     = 64 << 10 // bytes of a response's status line and headers
)

// Resolver looks up names. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options of a Guard. The zero value guards by the system's resolver, dialer and roots.
type Options struct {
	Allow    []netip.Prefix // ranges that targets may have although they are not public
	Resolver Resolver       // nil: the system's
	// Dial makes a TCP connection to addr, an IP address and a port that was vetted, or the proxy's. nil: a net.Dialer,
	// which vets the address once more when the socket exists. A simulation gives its own.
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Proxy   *url.URL       // http or https, with user and password if it wants them; nil: none
	RootCAs *x509.CertPool // that certificates are verified against (see Roots); nil: the system's

	ConnectTimeout time.Duration         // to resolve and connect, all addresses together; 0: DefaultConnectTimeout
	MaxIdle        int                   // idle connections that each of four pools keeps (direct and by net/http, public and private); 0: DefaultMaxIdle
	Registerer     prometheus.Registerer // nil: metrics are counted and not shown
}

// Guard makes transports that reach only what targets may have. It is safe for concurrent use.
type Guard struct {
	options Options
	ranges  *ssrf.Guardian
	proxy   *proxy // nil: none
	metrics *metrics
	public  *transport
	private *transport
}

// transport sends each request the way that suits it. Both ways dial by the guard.
type transport struct {
	direct *direct // nil: there is none
	http   *http.Transport
}

// RoundTrip makes an exchange; see http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.direct != nil && t.direct.suits(r) {
		return t.direct.RoundTrip(r)
	}
	return t.http.RoundTrip(r)
}

// New makes a Guard. It refuses a proxy that is none (CodeInvalid, field "egressProxy") and ranges that are not valid (field
// "allowTargets").
func New(options Options) (*Guard, error) {
	if options.Resolver == nil {
		options.Resolver = net.DefaultResolver
	}
	if options.ConnectTimeout <= 0 {
		options.ConnectTimeout = DefaultConnectTimeout
	}
	if options.MaxIdle <= 0 {
		options.MaxIdle = DefaultMaxIdle
	}
	g := &Guard{options: options, metrics: newMetrics(options.Registerer)}
	var faults postrider.Faults
	var err error
	g.ranges, err = newRanges(options.Allow)
	faults.Add("allowTargets", err)
	g.proxy, err = newProxy(options.Proxy, options.RootCAs)
	faults.Add("egressProxy", err)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	g.public, g.private = g.transport(false), g.transport(true)
	return g, nil
}

// Transport returns the transport for targets that may have public and allowed addresses only, or, with allowPrivate, any.
// Each has its pool, so that a connection made for one is never used for the other. A request to an address that is refused
// ends with an error of CodeForbidden, whose Message gives no address away. Redirects are returned, not followed.
func (g *Guard) Transport(allowPrivate bool) http.RoundTripper {
	if allowPrivate {
		return g.private
	}
	return g.public
}

// CloseIdle closes the connections that no request uses.
func (g *Guard) CloseIdle() {
	for _, t := range [...]*transport{g.public, g.private} {
		if t.direct != nil {
			t.direct.idle.closeAll()
		}
		t.http.CloseIdleConnections()
	}
}

func (g *Guard) transport(allowPrivate bool) *transport {
	dial := g.dialer(allowPrivate)
	t := &transport{http: g.httpTransport(dial)}
	if canPeek && (g.proxy == nil || g.proxy.tls == nil) { // else what comes unasked could not be told from an answer
		t.direct = &direct{dial: dial, idle: newIdlePool(g.options.MaxIdle, IdleTimeout)}
	}
	return t
}

// httpTransport makes one of net/http. Its Proxy is left nil, so that no proxy but ours is asked.
func (g *Guard) httpTransport(dial dialFunc) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        clientTLS(g.options.RootCAs),
		TLSHandshakeTimeout:    g.options.ConnectTimeout,
		Protocols:              protocols,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           g.options.MaxIdle,
		MaxIdleConnsPerHost:    g.options.MaxIdle, // the targets of many tenants may share a host
		IdleConnTimeout:        IdleTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: MaxResponseHeader,
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         4 << 10,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   10 * time.Second,
			MaxReceiveBufferPerStream:     postrider.MaxResponseRead, // no more is read, so no more is buffered
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
}

func clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1024)}
}

// Roots returns the system's roots together with the certificates in pem, for Options.RootCAs. CodeInvalid (field "caFile")
// if pem holds none.
func Roots(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without roots: those given are all there are
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, postrider.Invalid("caFile", "holds no certificate in PEM form")
	}
	return pool, nil
}
