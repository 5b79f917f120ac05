package gateway

import (
	"context"
	"sync"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// statusTimeout bounds what GetStatus asks of one peer.
	statusTimeout = 2 * time.Second
	// statusModels bounds the models that GetStatus lists.
	statusModels = 1000
)

// GetStatus implements GatewayService: it asks each peer's health service, all at once, so that one that hangs
// hides nothing about the others.
func (g *Gateway) GetStatus(ctx context.Context, req *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	peers := []struct {
		name string
		conn grpc.ClientConnInterface
	}{{serviceNgram, g.peers.Ngram}, {serviceMemory, g.peers.Memory}, {serviceConcept, g.peers.Concept}}
	resp := &gatewayv1.GetStatusResponse{Version: g.options.Version, Peers: make([]*gatewayv1.PeerStatus, len(peers))}
	var asking sync.WaitGroup
	for i, peer := range peers {
		asking.Go(func() {
			ctx, cancel := part(ctx, statusTimeout)
			defer cancel()
			err := healthy(ctx, peer.conn)
			if err == nil && peer.name == serviceNgram {
				resp.Models, err = g.servingModels(ctx, req.Tenant)
			}
			resp.Peers[i] = peerStatus(peer.name, err)
		})
	}
	asking.Wait()
	return resp, nil
}

func healthy(ctx context.Context, peer grpc.ClientConnInterface) error {
	resp, err := healthpb.NewHealthClient(peer).Check(ctx, &healthpb.HealthCheckRequest{})
	if err == nil && resp.Status != healthpb.HealthCheckResponse_SERVING {
		err = errors.New(errors.Unavailable, "NOT_SERVING", "it runs, but is not ready; see its log")
	}
	return err
}

// servingModels lists the models with a published build.
func (g *Gateway) servingModels(ctx context.Context, tenant string) ([]*ngramv1.Model, error) {
	var serving []*ngramv1.Model
	req := &ngramv1.ListModelsRequest{Tenant: tenant, PageSize: statusModels}
	for {
		page, err := g.models.ListModels(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Models {
			if m.PublishedBuildId != 0 && len(serving) < statusModels {
				serving = append(serving, m)
			}
		}
		if req.PageToken = page.NextPageToken; req.PageToken == "" || len(serving) == statusModels {
			return serving, nil
		}
	}
}

func peerStatus(service string, err error) *gatewayv1.PeerStatus {
	status := &gatewayv1.PeerStatus{Service: service, Reachable: err == nil}
	if err != nil {
		status.Detail = errors.Public(err)
	}
	return status
}
