package awsapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/postrider/postrider/internal/awsapi"
)

// selfWriting is a body as the SDK makes them: it writes itself, until it is closed.
type selfWriting struct{ io.Reader }

func (selfWriting) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (selfWriting) Close() error                     { return nil }

// TestBodiesDoNotWriteThemselves: a body whose WriteTo fails is read all the same, so the connection lives on.
func TestBodiesDoNotWriteThemselves(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	defer server.Close()
	cfg, err := awsapi.Config(t.Context(), awsapi.Options{Region: "us-east-1", Retryer: func() aws.Retryer { return aws.NopRetryer{} }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, selfWriting{strings.NewReader("hello")})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 5
	response, err := cfg.HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "hello" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}
