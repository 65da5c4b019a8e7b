package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider/postrider"
)

// SchemeSQLite is the scheme of the embedded engine.
const SchemeSQLite = "sqlite"

// Engine is what stands behind a seam, chosen by a URL.
type Engine struct {
	Scheme string   // "sqlite", "kafka", …
	Raw    string   // as it was written; may hold a password, so String is what is shown
	URL    *url.URL // of several hosts, the first
}

// String is the URL without its password, which PostgreSQL takes as a parameter too.
func (e Engine) String() string {
	if e.URL == nil {
		return ""
	}
	return passwordRE.ReplaceAllString(e.URL.Redacted(), "${1}xxxxx")
}

var passwordRE = regexp.MustCompile(`(?i)([?&][a-z]*password=)[^&]*`)

// Seam is the name of one of the five seams.
type Seam string

// The seams.
const (
	SeamEvents   Seam = "events"
	SeamQueue    Seam = "queue"
	SeamPayloads Seam = "payloads"
	SeamOutcomes Seam = "outcomes"
	SeamDatabase Seam = "database"
)

// schemes tells by seam which engines the design has a place for, and whether internal/app opens them.
var schemes = map[Seam][]scheme{
	SeamEvents:   {{SchemeSQLite, true}, {"kafka", true}, {"kafka+tls", true}},
	SeamQueue:    {{SchemeSQLite, true}, {"sqs", true}},
	SeamPayloads: {{SchemeSQLite, true}, {"s3", true}},
	SeamOutcomes: {{SchemeSQLite, true}, {"kafka", true}, {"kafka+tls", true}},
	SeamDatabase: {{SchemeSQLite, true}, {"postgres", true}, {"postgresql", true}},
}

type scheme struct {
	name  string
	built bool
}

// EngineCheck tells what is wrong with the URL of a seam's engine, without a secret in it. Engines know their URLs, and
// internal/app knows the engines.
type EngineCheck func(seam Seam, e Engine) error

// engine reads the URL of a seam's engine.
func (r *reader) engine(seam Seam, raw string) Engine {
	name := string(seam)
	u, err := url.Parse(oneHost(raw))
	if err != nil || u.Scheme == "" {
		r.hiddenf(name, "is no URL; the embedded engine is sqlite:, others begin with %s", offered(seam, false))
		return Engine{}
	}
	e := Engine{Scheme: u.Scheme, Raw: raw, URL: u}
	i := slices.IndexFunc(schemes[seam], func(s scheme) bool { return s.name == u.Scheme })
	switch {
	case i < 0:
		r.faultf(name, e.String(), "there is no engine %q for the %s; use %s", u.Scheme, seam, offered(seam, true))
	case !schemes[seam][i].built:
		r.faultf(name, e.String(), "the engine %q is not part of this build; use %s", u.Scheme, offered(seam, true))
	case u.Scheme == SchemeSQLite && raw != SchemeSQLite+":":
		r.faultf(name, e.String(), "the embedded engine takes nothing after sqlite: ; the folder is set by --data")
	case r.check != nil:
		var faults postrider.Faults
		faults.Add(name, r.check(seam, e))
		for _, f := range faults { // without the URL: a parameter that is wrong may be somebody's way to write a secret
			r.hiddenf(name, "%s", f.Message)
		}
	}
	return e
}

var hostsRE = regexp.MustCompile(`^([a-z+]+://(?:[^/?#@]*@)?[^/?#,]*),[^/?#]*`)

// oneHost leaves the first of several hosts, since net/url takes one only.
func oneHost(raw string) string { return hostsRE.ReplaceAllString(raw, "$1") }

// offered lists the schemes of a seam, those that are built or all.
func offered(seam Seam, built bool) string {
	var list []string
	for _, s := range schemes[seam] {
		if s.built || !built {
			list = append(list, s.name+":")
		}
	}
	return strings.Join(list, ", ")
}
