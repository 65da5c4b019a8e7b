package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestWalk(t *testing.T) {
	t.Parallel()
	body := []byte(" [ {\"a\" : \"x\\\\\" , \"b\\u0041\":[1, {\"]\":\"}\\\"\"} ],\"c\":-1.5e3},7 , \"\\\\\\\"\",[],{} ,null ]\n")
	if !json.Valid(body) {
		t.Fatal("the test's body is no JSON")
	}
	var got []string
	for e := range elements(body) {
		got = append(got, string(e))
	}
	want := []string{`{"a" : "x\\" , "b\u0041":[1, {"]":"}\""} ],"c":-1.5e3}`, `7`, `"\\\""`, `[]`, `{}`, `null`}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("got %q", got)
	}
	for name, value := range members([]byte(got[0])) {
		want := map[string]string{"a": `"x\\"`, "bA": `[1, {"]":"}\""} ]`, "c": "-1.5e3"}[name]
		if string(value) != want {
			t.Errorf("%s is %s", name, value)
		}
	}
}

// FuzzWalk compares with encoding/json.
func FuzzWalk(f *testing.F) {
	for _, seed := range []string{`[]`, `[1,"a\\",{"b":[]}]`, `["\"",null ]`, ` [ true]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want []json.RawMessage
		if json.Unmarshal(body, &want) != nil || want == nil {
			return
		}
		n := 0
		for e := range elements(body) {
			if n >= len(want) || string(e) != string(want[n]) {
				t.Fatalf("element %d of %q is %q", n, body, e)
			}
			n++
		}
		if n != len(want) {
			t.Fatalf("%d elements in %q", n, body)
		}
	})
}

// FuzzValid holds what is taken for valid against encoding/json.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{`[1,2.5e-3,-0]`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", `{"a":01}`, "[\"\t\"]", ` [] x`, `[1,]`, `nul`, "\ufeff[]",
		strings.Repeat("[", 100) + strings.Repeat("]", 99)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := validJSON(body); (err == nil) != json.Valid(body) {
			t.Errorf("%q: %v, but encoding/json says %v", body, err, json.Valid(body))
		}
	})
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{9_999, 10_000, 10_001, 1_000_000} {
		body := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if err := validJSON(body); (err == nil) != json.Valid(body) {
			t.Errorf("%d arrays in each other: %v, but encoding/json says %v", depth, err, json.Valid(body))
		}
	}
}

func BenchmarkParseBatch(b *testing.B) {
	var items []map[string]any
	for i := range 100 {
		items = append(items, map[string]any{"eventType": "orders.created", "id": fmt.Sprint("id-", i), "payload": map[string]string{"pad": string(make([]byte, 150))}})
	}
	body, err := json.Marshal(items)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := parseBatch(body, "default", 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
