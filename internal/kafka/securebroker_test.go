package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/internal/stacktest"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key, _ = newKey(t)
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.pem = a.sign(t, a.cert, &a.key.PublicKey)
	return a
}

func (a *authority) sign(t *testing.T, c *x509.Certificate, public *ecdsa.PublicKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue makes a certificate for loopback, and its key.
func (a *authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, key := newKey(t)
	return a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, &private.PublicKey), key
}

// secureBroker is a real broker with a listener for each way to be secure.
type secureBroker struct {
	authority                     *authority
	plain, tls, mtls, sasl, clear int // ports
}

const secureProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[1]d
listeners=CONTROLLER://127.0.0.1:%[1]d,PLAINTEXT://127.0.0.1:%[2]d,TLS://127.0.0.1:%[3]d,MTLS://127.0.0.1:%[4]d,SECURE://127.0.0.1:%[5]d,CLEAR://127.0.0.1:%[6]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[2]d,TLS://127.0.0.1:%[3]d,MTLS://127.0.0.1:%[4]d,SECURE://127.0.0.1:%[5]d,CLEAR://127.0.0.1:%[6]d
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,MTLS:SSL,SECURE:SASL_SSL,CLEAR:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[7]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
ssl.keystore.type=PEM
ssl.keystore.certificate.chain=%[8]s
ssl.keystore.key=%[9]s
ssl.truststore.type=PEM
ssl.truststore.certificates=%[10]s
listener.name.mtls.ssl.client.auth=required
`

// saslProperties are those of a listener. Tokens are checked as the broker does by default: it takes unsigned ones, until they expire.
const saslProperties = `listener.name.%[1]s.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.%[1]s.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="hush";
listener.name.%[1]s.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.%[1]s.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.%[1]s.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.%[1]s.oauthbearer.connections.max.reauth.ms=60000
`

// startSecureBroker runs Kafka from the class path in STACK_KAFKA_CLASSPATH until the test ends.
func startSecureBroker(t *testing.T) *secureBroker {
	t.Helper()
	classes := stacktest.Need(t, "STACK_KAFKA_CLASSPATH", "Kafka's jars, as for java -cp")
	b := &secureBroker{authority: newAuthority(t), plain: freePort(t), tls: freePort(t), mtls: freePort(t), sasl: freePort(t), clear: freePort(t)}
	cert, key := b.authority.issue(t, "broker")
	line := func(pem string) string { return strings.ReplaceAll(pem, "\n", `\n`) }
	dir := t.TempDir()
	properties := fmt.Sprintf(secureProperties, freePort(t), b.plain, b.tls, b.mtls, b.sasl, b.clear, filepath.Join(dir, "data"), line(cert), line(key),
		line(b.authority.pem)) + fmt.Sprintf(saslProperties, "secure") + fmt.Sprintf(saslProperties, "clear")
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
		t.Fatal(err)
	}
	format := exec.CommandContext(t.Context(), "java", "-XX:TieredStopAtLevel=1", "-cp", classes, "kafka.tools.StorageTool", "format", "-t", "cG9zdHJpZGVyLXN0YWNrMQ", "-c", file,
		"--add-scram", "SCRAM-SHA-256=[name=ann,password=hush]", "--add-scram", "SCRAM-SHA-512=[name=ann,password=hush]")
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
	broker := exec.CommandContext(ctx, "java", "-XX:TieredStopAtLevel=1", "-Xms128m", "-Xmx256m", "-cp", classes, "kafka.Kafka", file)
	broker.Stdout, broker.Stderr = t.Output(), t.Output()
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cancel(broker.Wait()); close(ended) }()
	t.Cleanup(func() { cancel(nil); <-ended })
	b.untilUp(ctx, t)
	return b
}

// untilUp waits until the broker answers, which runs as long as ctx.
func (b *secureBroker) untilUp(ctx context.Context, t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", b.plain)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute) // the machine may be busy
	defer cancel()
	for client.Ping(ctx) != nil {
		if !pauseFor(ctx, 100*time.Millisecond) {
			t.Fatalf("the broker did not start: %v", context.Cause(ctx))
		}
	}
}
