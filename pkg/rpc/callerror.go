package rpc

import (
	"maps"
	"slices"

	"google.golang.org/grpc/status"
)

// callError is an error with both of its faces: gRPC sees the status, everybody else the error that it
// wraps. Servers return it so that observers outside the error mapping still find the cause; connections
// return it so that callers may use errors.KindOf or status.Code as they like.
type callError struct {
	error
	status *status.Status
}

func (e *callError) GRPCStatus() *status.Status { return e.status }

func (e *callError) Unwrap() error { return e.error }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
