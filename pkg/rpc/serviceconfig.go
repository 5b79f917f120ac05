package rpc

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// serviceConfig returns gRPC's service config: balance over all addresses of a peer, and retry what may be
// repeated. Which methods those are is said once, in the protos: idempotency_level NO_SIDE_EFFECTS or
// IDEMPOTENT. Only Unavailable is retried: it alone says that trying again may help.
func serviceConfig() string {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	type retryPolicy struct {
		MaxAttempts          int      `json:"maxAttempts"`
		InitialBackoff       string   `json:"initialBackoff"`
		MaxBackoff           string   `json:"maxBackoff"`
		BackoffMultiplier    float64  `json:"backoffMultiplier"`
		RetryableStatusCodes []string `json:"retryableStatusCodes"`
	}
	type methodConfig struct {
		Name        []name      `json:"name"`
		RetryPolicy retryPolicy `json:"retryPolicy"`
	}
	config := struct {
		LoadBalancingConfig []map[string]any   `json:"loadBalancingConfig"`
		MethodConfig        []methodConfig     `json:"methodConfig,omitempty"`
		RetryThrottling     map[string]float64 `json:"retryThrottling"`
	}{
		LoadBalancingConfig: []map[string]any{{"round_robin": struct{}{}}},
		// A tenth of the calls may be retries; when more fail, retrying stops, so that a peer in trouble
		// does not get three times the load.
		RetryThrottling: map[string]float64{"maxTokens": 100, "tokenRatio": 0.1},
	}
	var names []name
	for _, m := range repeatableMethods(protoregistry.GlobalFiles) {
		names = append(names, name{string(m.Parent().FullName()), string(m.Name())})
	}
	if len(names) > 0 {
		config.MethodConfig = []methodConfig{{
			Name: names,
			RetryPolicy: retryPolicy{
				MaxAttempts:          4,
				InitialBackoff:       "0.05s",
				MaxBackoff:           "1s",
				BackoffMultiplier:    2,
				RetryableStatusCodes: []string{"UNAVAILABLE"},
			},
		}}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "{}" // not reachable: strings and numbers only
	}
	return string(text)
}

// repeatableMethods returns the methods that promise to be safe to repeat, in the order of their names.
func repeatableMethods(files *protoregistry.Files) []protoreflect.MethodDescriptor {
	var out []protoreflect.MethodDescriptor
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				options, ok := methods.Get(j).Options().(*descriptorpb.MethodOptions)
				if ok && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
					out = append(out, methods.Get(j))
				}
			}
		}
		return true
	})
	slices.SortFunc(out, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return out
}
