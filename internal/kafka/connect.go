package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslaws "github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/postrider/postrider"
)

// options are the options of every client of a location.
func (l *location) options(m *metrics) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(l.brokers...),
		kgo.ClientID("postrider"),
		kgo.DialTimeout(5 * time.Second),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond), // a topic that was just made is found soon
		kgo.WithHooks(m),
	}
	if l.tls {
		c, err := l.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	}
	if m := l.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func (l *location) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.ca != "" {
		pem, err := os.ReadFile(l.ca)
		if err != nil {
			return nil, fmt.Errorf("ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca=%s holds no certificate", l.ca)
		}
	}
	if l.cert != "" {
		pair, err := tls.LoadX509KeyPair(l.cert, l.key)
		if err != nil {
			return nil, fmt.Errorf("cert= and key=: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// mechanism is how the client authenticates; nil: not at all.
func (l *location) mechanism() sasl.Mechanism {
	switch l.sasl {
	case saslPlain:
		return plain.Auth{User: l.user, Pass: l.password}.AsMechanism()
	case saslSHA256:
		return scram.Auth{User: l.user, Pass: l.password}.AsSha256Mechanism()
	case saslSHA512:
		return scram.Auth{User: l.user, Pass: l.password}.AsSha512Mechanism()
	case saslOAuthBearer:
		return oauth.Oauth(l.token)
	case saslMSKIAM:
		return saslaws.ManagedStreamingIAM(awsAuth)
	}
	return nil
}

// token reads the token's file at each authentication, since tokens expire, and whoever renews one replaces the file.
func (l *location) token(context.Context) (oauth.Auth, error) {
	if l.passwordFile == "" {
		return oauth.Auth{Token: l.password}, nil
	}
	token, err := readPassword(l.passwordFile)
	return oauth.Auth{Token: token}, err
}

// awsAuth reads AWS credentials the way the AWS SDK finds them, at each connection, since they expire.
func awsAuth(ctx context.Context) (saslaws.Auth, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return saslaws.Auth{}, err
	}
	creds, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return saslaws.Auth{}, err
	}
	return saslaws.Auth{AccessKey: creds.AccessKeyID, SecretKey: creds.SecretAccessKey, SessionToken: creds.SessionToken}, nil
}

// unavailable says that Kafka did not do what was asked. An error of the domain is left as it is.
func unavailable(what string, err error) error {
	var known *postrider.Error
	if errors.As(err, &known) {
		return err
	}
	return &postrider.Error{Code: postrider.CodeUnavailable, Message: "Kafka: " + what, RetryAfter: time.Second, Err: err}
}
