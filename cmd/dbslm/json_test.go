package main

import (
	"encoding/json"
	"testing"
)

// What changes something can say what it changed as JSON.
func TestChangesAsJSON(t *testing.T) {
	inHarbour(t)
	said := func(args ...string) map[string]any {
		t.Helper()
		r := invoke(t, append(args, "--json", "--db", "store")...)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.out), &got); r.code != exitOK || err != nil {
			t.Fatalf("%q: exit %d, %v, %s%s", args, r.code, err, r.out, r.err)
		}
		return got
	}
	is := func(got map[string]any, want map[string]any) {
		t.Helper()
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s is %v, not %v, of %v", name, got[name], value, got)
			}
		}
	}
	said("train", "harbour.txt")
	first := said("correct", "Sydney", "Canberra", "--user", "ana")
	is(first, map[string]any{"value": "Canberra", "error_context": "Sydney", "scope": "user", "state": "active"})
	second := said("correct", "Sydney", "Perth", "--user", "ana")
	if superseded, ok := second["superseded"].([]any); !ok || len(superseded) != 1 || superseded[0] != first["id"] {
		t.Errorf("superseded %v", second["superseded"])
	}
	is(said("corrections", "promote", second["id"].(string), "--to", "model", "--model", "default", "--reviewed-by", "ben"), map[string]any{"value": "Perth", "scope": "model"})
	is(said("corrections", "revoke", second["id"].(string)), map[string]any{"id": second["id"], "state": "revoked"})
	fact := said("remember", "loft", "price", "42 euros", "--user", "ana")
	is(fact, map[string]any{"entity": "loft", "attribute": "price", "value": "42 euros"})
	if retired := said("facts", "retire", fact["id"].(string)); retired["retired"] == nil {
		t.Errorf("retired %v", retired)
	}
	bias := said("biases", "add", "harbour", "--strength", "1.5", "--user", "ana")
	is(said("biases", "remove", bias["id"].(string)), map[string]any{"removed": bias["id"]})
	is(said("bans", "add", "old harbour"), map[string]any{"text": "old harbour"})
	is(said("bans", "remove", "old harbour"), map[string]any{"text": "old harbour"})
	erased := said("erase", "--user", "ana", "--yes")
	is(erased, map[string]any{"user": "ana"})
	if rows, _ := erased["rows"].(float64); rows < 3 || erased["request_id"] == "" {
		t.Errorf("erased %v", erased)
	}
}
