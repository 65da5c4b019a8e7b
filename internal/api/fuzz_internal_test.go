package api

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/postrider/postrider"
)

func FuzzParseBatch(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"eventType":"a","payload":"\ud83d\ude00"}]`, `[{"eventType":"a","payload":{"b": [1 ,2]},"id":"x"}]`,
		`[{"eventType":"a","payloadBase64":"AP8="}]`, `[{"eventType":"a","payload":"\ud800"}]`, `[{`, `[7]`, `[{"id":"a","id":"b"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := parseBatch(body, "default", 1<<20)
		if err != nil {
			if postrider.CodeOf(err) == postrider.CodeInternal {
				t.Fatalf("%v is no fault of the request", err)
			}
			return
		}
		if !json.Valid(body) || len(events) == 0 {
			t.Fatalf("%q was taken", body)
		}
		for _, e := range events {
			if postrider.CheckEventID(e.ID) != nil || postrider.CheckPublishedType(e.Type) != nil || e.Payload.Bytes == nil || e.Payload.Size != int64(len(e.Payload.Bytes)) {
				t.Fatalf("%q became %+v", body, e)
			}
		}
	})
}

func FuzzMergeTarget(f *testing.F) {
	for _, seed := range []string{`{}`, `{"retry":{"base":"1s"}}`, `{"headers":{"A":null,"B":"***"}}`, `{"headers":null}`, `{"maxInFlight":1e3}`, `{"name":"\u0000"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parseObject(body)
		if err != nil {
			return
		}
		if !utf8.Valid(body) || !json.Valid(body) {
			t.Fatalf("%q was taken", body)
		}
		target := postrider.Target{URL: "https://example.com/"}
		stored := map[string]string{"B": "kept"}
		var faults postrider.Faults
		o.read("", &faults, map[string]member{"url": required(text(&target.URL)), "name": text(&target.Name), "headers": mergeHeaders(&target.Headers, stored),
			"retry": mergeRetry(&target.Retry), "maxInFlight": count(&target.MaxInFlight), "allowPrivate": boolean(&target.AllowPrivate)})
		if stored["B"] != "kept" {
			t.Fatal("what is stored was changed")
		}
	})
}
