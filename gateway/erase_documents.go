package gateway

import (
	"context"
	"strings"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// ownedBy reports whether a document is a person's by its label: user/NAME, or everything below it. A slash in the name is written %2F,
// and a percent sign %25, so that nobody's documents lie below those of another one.
func ownedBy(user, label string) bool {
	rest, ok := strings.CutPrefix(label, "user/"+strings.NewReplacer("%", "%25", "/", "%2F").Replace(user))
	return ok && (rest == "" || rest[0] == '/')
}

// errNothingLeft is what resuming answers when nothing was interrupted.
var errNothingLeft = errors.New(errors.NotFound, "DOCUMENT_NOT_FOUND", "there is nothing left to forget")

// documents has every model of the tenant forget the person's documents, as GatewayService/Forget does, and goes on with what an earlier
// attempt left of that.
func (e *erasing) documents() error {
	ctx, user := e.stream.Context(), e.req.Subject.GetUserId()
	if user == "" {
		return nil
	}
	forgotten := uint64(0)
	report := func(*gatewayv1.ForgetResponse) error {
		return e.stream.Send(&gatewayv1.EraseResponse{Service: serviceNgram, Rows: forgotten})
	}
	for token := ""; ; {
		resp, err := e.gateway.models.ListModels(ctx, &ngramv1.ListModelsRequest{Tenant: e.req.Tenant, PageSize: 1000, PageToken: token})
		if err != nil {
			return err
		}
		for _, model := range resp.Models {
			labels, err := e.labels(ctx, model.Name, user)
			if err != nil {
				return err
			}
			for _, label := range append(labels, "") { // "" for what was interrupted
				f := &forget{gateway: e.gateway, send: report, fresh: true, header: &gatewayv1.ForgetHeader{Tenant: e.req.Tenant, Model: model.Name, Label: label}}
				if f.header.RequestId, err = newRequestID(); err != nil {
					return err
				}
				if label == "" {
					if _, err = f.resume(ctx, errNothingLeft); errors.Is(err, errNothingLeft) {
						err = nil
					}
				} else if _, err = f.run(ctx); err == nil {
					forgotten++
				}
				if err != nil {
					return err
				}
			}
		}
		if token = resp.NextPageToken; token == "" {
			return report(nil)
		}
	}
}

// labels are those of the person's documents in a model.
func (e *erasing) labels(ctx context.Context, model, user string) (labels []string, err error) {
	for token := ""; ; {
		resp, err := e.gateway.corpus.ListDocuments(ctx, &ngramv1.ListDocumentsRequest{Tenant: e.req.Tenant, Model: model, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, d := range resp.Documents {
			if ownedBy(user, d.Label) {
				labels = append(labels, d.Label)
			}
		}
		if token = resp.NextPageToken; token == "" {
			return labels, nil
		}
	}
}
