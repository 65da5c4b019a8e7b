package stack

import (
	"fmt"
	"os"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/postrider/postrider/test/harness"
)

// proxies stand between a system and its servers.
type proxies struct {
	kafka, sqs, s3, pg, registry *proxy
}

// proxy is one of them.
type proxy struct {
	*toxiproxy.Proxy
}

// newProxies puts a proxy before each server.
func newProxies(t *testing.T) *proxies {
	t.Helper()
	needServers(t)
	p := &proxies{}
	at := direct()
	p.kafka = beforeKafka(t)
	p.sqs = before(t, "127.0.0.1:0", at.sqs)
	p.s3 = before(t, "127.0.0.1:0", at.s3)
	p.pg = before(t, "127.0.0.1:0", at.pg)
	p.registry = before(t, "127.0.0.1:0", hostOf(at.registry))
	return p
}

// beforeKafka puts a proxy where Kafka sends the clients of one of its listeners. There can be one at a time.
func beforeKafka(t *testing.T) *proxy {
	t.Helper()
	local := func(variable string) string { return "127.0.0.1:" + os.Getenv(variable) }
	return before(t, local("STACK_KAFKA_PROXY_PORT"), local("STACK_KAFKA_PROXIED_PORT"))
}

// before puts a proxy at an address before a server.
func before(t *testing.T, listen, upstream string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	one := &proxy{toxiproxy.NewProxy(server, upstream, listen, upstream)}
	if err := one.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Stop)
	return one
}

// addresses are those of the proxies.
func (p *proxies) addresses() addresses {
	at := direct()
	at.registry = strings.Replace(at.registry, hostOf(at.registry), p.registry.Listen, 1)
	at.kafka, at.outcomes, at.sqs, at.s3, at.pg = p.kafka.Listen, p.kafka.Listen, p.sqs.Listen, p.s3.Listen, p.pg.Listen
	return at
}

// slow delays what goes each way, and returns how to end that.
func (p *proxy) slow(t *testing.T, milliseconds int) (mend func()) {
	t.Helper()
	return p.toxic(t, fmt.Sprintf(`{"type": "latency", "attributes": {"latency": %d, "jitter": %d}}`, milliseconds, milliseconds/2))
}

// freeze lets nothing through any more, but keeps connections open and takes new ones.
func (p *proxy) freeze(t *testing.T) (mend func()) {
	t.Helper()
	return p.toxic(t, `{"type": "timeout", "attributes": {"timeout": 0}}`)
}

// toxic puts something into both ways.
func (p *proxy) toxic(t *testing.T, what string) (mend func()) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		text := fmt.Sprintf(`{"name": %q, "stream": %q, %s`, stream, stream, what[1:])
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return func() { p.Toxics.ResetToxics(t.Context()) }
}

// cut ends all connections and refuses new ones until it is mended.
func (p *proxy) cut(t *testing.T) (mend func()) {
	t.Helper()
	p.Stop()
	return func() {
		harness.Await(t, func() string {
			if err := p.Start(); err != nil {
				return err.Error()
			}
			return ""
		})
	}
}
