// Package awsapi is what the engines on AWS's APIs share: how their clients are configured, and what is known of whether the server
// answers.
package awsapi

import (
	"context"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/postrider/postrider"
)

// Options of a configuration.
type Options struct {
	Region  string // "": the environment's
	Retryer func() aws.Retryer
	MaxIdle int // idle connections to the server; 0: the SDK's default
}

// Config reads credentials and all else as the AWS SDK does: from the environment, shared files, or the machine's role. An
// error has CodeUnavailable.
func Config(ctx context.Context, o Options) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		if o.MaxIdle > 0 {
			t.MaxIdleConnsPerHost = o.MaxIdle
		}
	})
	options := []func(*config.LoadOptions) error{config.WithRetryer(o.Retryer), config.WithHTTPClient(client)}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, postrider.Errorf(postrider.CodeUnavailable, "the AWS configuration can't be read: %w", err)
	}
	cfg.HTTPClient = plainBodies{cfg.HTTPClient}
	return cfg, nil
}

// plainBodies hides from net/http that the bodies of requests can write themselves. Once the head of a response has come the SDK
// closes the request's body, whose WriteTo returns io.EOF from then on, which io.Copy takes for a failure: the transport, if it
// has not looked for the body's end by then, closes the connection while the response is being read. What a receive brought is
// lost for as long as its lease lasts then (aws/aws-sdk-go-v2#2737).
type plainBodies struct{ aws.HTTPClient }

// Do makes a request; see http.Client.
func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		plain := *r
		plain.Body = struct{ io.ReadCloser }{r.Body}
		r = &plain
	}
	return c.HTTPClient.Do(r)
}
