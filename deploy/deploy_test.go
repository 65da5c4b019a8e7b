// Package deploy_test holds what this folder says against what the code does.
package deploy_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// sources calls visit for each Go file of the code, its tests excepted.
func sources(t *testing.T, dir string, visit func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	nameRE   = regexp.MustCompile(`^postrider_[a-z0-9_]+$`)
	metricRE = regexp.MustCompile(`postrider_[a-z0-9_]+`)
)

// metrics are the names that the code exports: those of histograms by their parts.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	sources(t, "../internal", func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "HistogramOpts" {
					for _, name := range literals(n) {
						names[name+"_bucket"], names[name+"_sum"], names[name+"_count"] = true, true, true
					}
					return false
				}
			case *ast.BasicLit:
				for _, name := range literals(n) {
					names[name] = true
				}
			}
			return true
		})
	})
	if len(names) < 30 {
		t.Fatalf("only %d metrics found in the code", len(names))
	}
	return names
}

// literals are the names of metrics that stand in a piece of code.
func literals(n ast.Node) []string {
	var found []string
	ast.Inspect(n, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil && nameRE.MatchString(s) {
				found = append(found, s)
			}
		}
		return true
	})
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMetricsExist(t *testing.T) {
	t.Parallel()
	exported := metrics(t)
	for _, path := range []string{"prometheus/alerts.yaml", "grafana/postrider.json", "helm/postrider/values.yaml", "../docs/operations.md"} {
		found := metricRE.FindAllString(read(t, path), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", path)
		}
		for _, name := range slices.Compact(slices.Sorted(slices.Values(found))) {
			histogram := strings.HasSuffix(path, ".md") && exported[name+"_bucket"]
			if !exported[name] && !histogram {
				t.Errorf("%s: %s is no metric that the code exports", path, name)
			}
		}
	}
}

// rules is a Prometheus rule file.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	var r rules
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/alerts.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	docs, tests := read(t, "../docs/operations.md"), read(t, "prometheus/alerts_test.yaml")
	n := 0
	for _, g := range r.Groups {
		for _, a := range g.Rules {
			n++
			if !strings.Contains(docs, "\n### "+a.Alert+"\n") {
				t.Errorf("%s has no section in docs/operations.md", a.Alert)
			}
			if !strings.HasSuffix(a.Annotations["runbook_url"], "#"+strings.ToLower(a.Alert)) || a.Annotations["summary"] == "" {
				t.Errorf("%s: annotations %v", a.Alert, a.Annotations)
			}
			if !slices.Contains([]string{"page", "warn", "info"}, a.Labels["severity"]) {
				t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
			}
			if !strings.Contains(tests, "alertname: "+a.Alert+"\n") {
				t.Errorf("%s has no test in alerts_test.yaml", a.Alert)
			}
		}
	}
	if sections := strings.Count(docs, "\n### Postrider"); n == 0 || sections != n {
		t.Errorf("%d alerts, %d sections in docs/operations.md", n, sections)
	}
}

// policy is an IAM policy.
type policy struct {
	Statement []struct {
		Action   []string
		Resource []string
	}
}

// actions are the IAM actions that calls of the AWS SDK ask for, where they are not of the same name.
var actions = map[string]string{
	"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage", "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
	"HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "DeleteObjects": "DeleteObject", "HeadObject": "GetObject",
	"GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
}

// calls are the actions that an engine's code asks for: X of each composite literal XInput of the service's package.
func calls(t *testing.T, service string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	sources(t, "../internal/"+service, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			s, ok := lit.Type.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name, isInput := strings.CutSuffix(s.Sel.Name, "Input")
			if pkg, ok := s.X.(*ast.Ident); !isInput || !ok || pkg.Name != service {
				return true
			}
			if action, other := actions[name]; other {
				name = action
			}
			found[service+":"+name] = true
			return true
		})
	})
	return found
}

func TestPoliciesPermitWhatTheCodeCallsAndNoMore(t *testing.T) {
	t.Parallel()
	called := map[string]bool{}
	for _, service := range []string{"sqs", "s3"} {
		found := calls(t, service)
		if len(found) < 5 {
			t.Fatalf("only %d calls of %s found: %v", len(found), service, found)
		}
		for action := range found {
			called[action] = true
		}
	}
	permitted := map[string]bool{}
	files, err := filepath.Glob("iam/*.json")
	if err != nil || len(files) != 11 {
		t.Fatalf("%d policies, %v", len(files), err)
	}
	for _, path := range files {
		var p policy
		if err := json.Unmarshal([]byte(read(t, path)), &p); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, s := range p.Statement {
			for _, action := range s.Action {
				permitted[action] = true
				if strings.Contains(action, "*") || !strings.HasPrefix(action, "kafka-cluster:") && !called[action] {
					t.Errorf("%s permits %s, which the code never asks for", path, action)
				}
			}
			for _, resource := range s.Resource {
				if !strings.HasPrefix(resource, "arn:${partition}:") {
					t.Errorf("%s: resource %s", path, resource)
				}
			}
		}
	}
	for action := range called {
		if !permitted[action] {
			t.Errorf("the code asks for %s, which no policy in iam/ permits", action)
		}
	}
}

// TestAnchors follows the links within docs/*.md to their headings.
func TestAnchors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	headings := map[string]bool{} // FILE#ANCHOR
	headingRE, dropRE := regexp.MustCompile(`(?m)^#+ (.+)$`), regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, path := range files {
		for _, m := range headingRE.FindAllStringSubmatch(read(t, path), -1) {
			anchor := strings.ReplaceAll(dropRE.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
			headings[filepath.Base(path)+"#"+anchor] = true
		}
	}
	linkRE := regexp.MustCompile(`\]\(([a-z]*\.?m?d?)#([^)]+)\)`)
	for _, path := range files {
		for _, m := range linkRE.FindAllStringSubmatch(read(t, path), -1) {
			file := m[1]
			if file == "" {
				file = filepath.Base(path)
			}
			if !headings[file+"#"+m[2]] {
				t.Errorf("%s links to %s#%s, which is no heading", path, file, m[2])
			}
		}
	}
}

// TestWhoTakesMaySend holds the policies against unreadable messages, which are sent anew into the lane that they came from.
func TestWhoTakesMaySend(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("iam/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d policies, %v", len(files), err)
	}
	for _, path := range files {
		var p policy
		if err := json.Unmarshal([]byte(read(t, path)), &p); err != nil {
			t.Fatal(err)
		}
		may := map[string][]string{}
		for _, s := range p.Statement {
			for _, action := range s.Action {
				may[action] = append(may[action], s.Resource...)
			}
		}
		for _, queue := range may["sqs:ReceiveMessage"] {
			if !slices.Contains(may["sqs:SendMessage"], queue) {
				t.Errorf("%s may take from %s, but not send to it", path, queue)
			}
		}
	}
}
