package config

import (
	"net/url"
	"strconv"
)

// otlpEnv is the variable that OpenTelemetry gives the setting otlp-endpoint. The setting's own goes before it.
const otlpEnv = "OTEL_EXPORTER_OTLP_ENDPOINT"

func (r *reader) tracing(c *Config, f *Flags) {
	if f.OTLPEndpoint != "" {
		u, err := url.Parse(f.OTLPEndpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			r.hiddenf("otlp-endpoint", "must be the URL of a collector, such as http://collector:4318, without user and query; a key for it goes into OTEL_EXPORTER_OTLP_HEADERS")
		}
		c.OTLPEndpoint = f.OTLPEndpoint
	}
	ratio, err := strconv.ParseFloat(f.TraceRatio, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) { // neither holds of NaN
		r.faultf("trace-ratio", f.TraceRatio, "must be a number from 0 to 1, such as 0.1")
	}
	c.TraceRatio = ratio
	c.TraceTargets = r.oneOf("trace-targets", f.TraceTargets, "false", "true") == "true"
}
