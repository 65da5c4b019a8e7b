package config

import "github.com/alecthomas/kong"

// Flags are the settings of serve as they were written, before Config checks them. All are strings, so that kong refuses
// none of them and all faults can be told at once. What is empty is not set.
type Flags struct {
	Config string `help:"YAML file with settings; its keys are the names of these flags." placeholder:"FILE" group:"General"`
	Data   string `help:"Folder of the embedded engines; created with mode 0700, used by one process at a time." default:"./postrider-data" group:"General"`
	Roles  string `help:"Roles that this process runs: all, or some of api, consumer, dispatcher, retry, archiver." default:"all" group:"General"`
	Drain  string `help:"How long a stop waits for what is in flight." default:"30s" group:"General"`

	DrainDelay string `help:"How long a stop goes on taking requests and work after /readyz says no, so that a balancer has noticed." default:"0s" group:"General"`

	LogLevel  string `help:"Least level that is logged: debug, info, warn or error." default:"info" group:"General"`
	LogFormat string `help:"Format of the log on standard error: text or json." default:"text" group:"General"`

	OTLPEndpoint string `name:"otlp-endpoint" help:"Base URL of an OpenTelemetry collector that gets traces by OTLP over HTTP; none are made without it. OTEL_EXPORTER_OTLP_ENDPOINT sets it too." placeholder:"URL" group:"General"`
	TraceRatio   string `help:"Share of the traces that begin here which are recorded, 0 to 1; for one that began elsewhere its sampled flag counts." default:"1" group:"General"`

	Listen        string `help:"Address of the API, health and metrics." default:"127.0.0.1:8400" group:"API"`
	BasePath      string `help:"Prefix of the REST paths, /openapi.json and /docs; not of health and metrics." default:"/" group:"API"`
	MetricsListen string `help:"Address of /metrics, if it is not to be served at --listen." placeholder:"HOST:PORT" group:"API"`
	Pprof         string `help:"Address of profiles under /debug/pprof/, which must be loopback; they are off if it is not set." placeholder:"HOST:PORT" group:"API"`
	AdminKey      string `help:"Key that may do everything, 16 to 256 characters; if not given, made at the first start in DATA/admin.key. Better set in the environment, where other users cannot see it." placeholder:"KEY" group:"API"`

	Events   string `help:"Engine of the events log: sqlite: or kafka://HOST:PORT[,HOST:PORT...]/TOPIC?group=...&registry=URL&start=earliest|latest&dead=TOPIC; kafka+tls://USER@... with sasl=plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam." default:"sqlite:" group:"Engines"`
	Queue    string `help:"Engine of the delivery queue: sqlite: or sqs://NAME?region=...&endpoint=URL, for the queues NAME, NAME-retry, NAME-bulk and NAME-outcomes." default:"sqlite:" group:"Engines"`
	Payloads string `help:"Engine of large payloads: sqlite: or s3://BUCKET/PREFIX?region=...&endpoint=URL." default:"sqlite:" group:"Engines"`
	Outcomes string `help:"Engine of the outcome log: sqlite: or kafka://..., as --events." default:"sqlite:" group:"Engines"`
	Database string `help:"Engine of targets, filters, subscriptions, keys and deliveries: sqlite: or postgres://USER@HOST/DATABASE?sslmode=..., the password from PGPASSWORD; with it --admin-key and --secret-key are required." default:"sqlite:" group:"Engines"`

	Retention        string `help:"How long final deliveries and their attempts are kept, from the acceptance of the event; at least 8d, which is longer than any retry." default:"30d" group:"Engines"`
	EventRetention   string `help:"How long events are kept, and so how long their deliveries can be replayed; at least 8d. On Kafka it is set on a topic that is made; one that is there keeps its own." default:"30d" group:"Engines"`
	OutcomeRetention string `help:"How long a topic of outcomes that is made keeps them, and so how long the database may be away; at least 1d. Embedded, an outcome goes once it is archived." default:"7d" group:"Engines"`
	PayloadRetention string `help:"How long payloads in the payload store are kept; at least 8d." default:"30d" group:"Engines"`

	SecretKey     string `help:"Key that encrypts secrets at rest, base64 of 32 bytes; if not given, made at the first start in DATA/secret.key. Better set in the environment." placeholder:"BASE64" group:"Targets"`
	SecretOverlap string `help:"How long a target's secret still signs after a new one took its place." default:"24h" group:"Targets"`
	AllowTargets  string `help:"Addresses or CIDRs that targets may have although they are not public, comma-separated." placeholder:"CIDR,..." group:"Targets"`
	EgressProxy   string `help:"HTTP proxy that messages go through, by CONNECT to the vetted address; the environment's proxy variables are ignored." placeholder:"URL" group:"Targets"`
	CAFile        string `name:"ca-file" help:"PEM file of certificate authorities that targets may have besides the system's." placeholder:"FILE" group:"Targets"`
	TraceTargets  string `help:"Whether messages to targets carry the header traceparent: true or false." default:"false" group:"Targets"`

	RetryBase   string `help:"Longest delay after the first failed attempt; it doubles with each." default:"10s" group:"Delivery"`
	RetryMax    string `help:"Longest delay between two attempts." default:"4h" group:"Delivery"`
	RetryWindow string `help:"Time from acceptance within which attempts are made; at most 7d." default:"24h" group:"Delivery"`
	Timeout     string `help:"A whole attempt: connect, send, headers, and the part of the body that is read." default:"15s" group:"Delivery"`

	MaxInFlight       string `help:"Concurrent attempts in all." default:"512" group:"Delivery"`
	TargetMaxInFlight string `help:"Concurrent attempts per target." default:"32" group:"Delivery"`

	InlineLimit  string `help:"Largest payload that travels inside a queue item." default:"128KiB" group:"Payloads"`
	MaxPayload   string `help:"Largest payload that is accepted; above it intake answers 413." default:"16MiB" group:"Payloads"`
	MemoryBudget string `help:"Payload bytes held in memory at once by intake and fetches; above it intake answers 503." default:"256MiB" group:"Payloads"`
}

// Parse reads settings that are given as flags alone, for a server that is started by other code.
func Parse(args ...string) (*Config, error) {
	var f Flags
	parser, err := kong.New(&f, kong.Exit(func(int) {}))
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(args); err != nil {
		return nil, err
	}
	return f.Check(nil, nil)
}
