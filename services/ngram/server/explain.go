package server

import (
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// unexplained refuses a request for explanations.
func unexplained(asked *ngramv1.ExplainOptions) error {
	if asked == nil {
		return nil
	}
	return errors.New(errors.Unimplemented, "EXPLAIN_UNIMPLEMENTED", "explanations are not built yet; leave explain unset").Field("explain", "must be unset")
}
