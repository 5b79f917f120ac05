package server

import (
	"context"
	"crypto/sha256"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"

	"google.golang.org/protobuf/proto"
)

const (
	// policyEvery is how often policies are looked at.
	policyEvery = 10 * time.Second
	// policyClaim is how long a replica that went silent keeps others from acting on a policy.
	policyClaim = time.Hour
	// policyBuilds bounds the builds of one look.
	policyBuilds = 8
	policyOwner  = "build policy"
)

// follow makes the builds that policies ask for, one after another, until Close.
func (s *Server) follow() {
	every := time.NewTicker(s.policyEvery)
	defer every.Stop()
	for {
		select {
		case <-s.lifetime.Done():
			return
		case <-every.C:
		}
		due, err := s.store.Claim(s.lifetime, policyBuilds, policyClaim)
		if err != nil && s.lifetime.Err() == nil {
			s.log.WarnContext(s.lifetime, "looking for builds that are due failed", "error", err)
		}
		for _, d := range due {
			err := s.jobs.run(s.lifetime, ngram.JobBuild, d.Tenant, d.Model, policyOwner, false, func(ctx context.Context, j *job) error {
				order := buildOrder{tenant: d.Tenant, model: d.Model, options: ngram.BuildOptions{Storage: d.Storage, IfChanged: true}, publish: true}
				_, err := s.builds.make(ctx, j, order, nil)
				return err
			})
			if err != nil && s.lifetime.Err() == nil {
				s.log.WarnContext(s.lifetime, "a build that its policy asks for failed; it is tried again", "model", d.Model, "error", err)
			}
			releasing, stop := context.WithTimeout(context.WithoutCancel(s.lifetime), 5*time.Second)
			if err := s.store.Unclaim(releasing, d); err != nil {
				s.log.WarnContext(releasing, "giving a build policy back failed; it is free when the claim is over", "model", d.Model, "error", err)
			}
			stop()
		}
	}
}

// GetBuildPolicy implements BuildService.
func (s *builds) GetBuildPolicy(ctx context.Context, req *ngramv1.GetBuildPolicyRequest) (*ngramv1.GetBuildPolicyResponse, error) {
	status, err := s.store.Policy(ctx, tenantOf(req.Tenant), req.Model)
	if err != nil {
		return nil, err
	}
	return &ngramv1.GetBuildPolicyResponse{
		Policy: policyProto(status.Policy), HeldOutSha256: status.HeldOut, HeldOutBytes: uint64(status.HeldOutBytes), LastRunTime: timestamp(status.LastRun),
	}, nil
}

// SetBuildPolicy implements BuildService.
func (s *builds) SetBuildPolicy(ctx context.Context, req *ngramv1.SetBuildPolicyRequest) (*ngramv1.SetBuildPolicyResponse, error) {
	p := req.Policy
	policy, err := s.store.SetPolicy(ctx, tenantOf(req.Tenant), req.Model, ngram.BuildPolicy{
		AfterDocuments: int64(p.GetAfterDocuments()), Every: time.Duration(p.GetEverySeconds()) * time.Second, Storage: storages[p.GetStorage()],
		KeepBuilds: int(p.GetKeepBuilds()), DiskBudget: int64(min(p.GetDiskBudgetBytes(), 1<<62)), MaxIncrease: p.MaxPerplexityIncrease,
	})
	if err != nil {
		return nil, err
	}
	return &ngramv1.SetBuildPolicyResponse{Policy: policyProto(policy)}, nil
}

// SetHeldOut implements BuildService.
func (s *builds) SetHeldOut(ctx context.Context, req *ngramv1.SetHeldOutRequest) (*ngramv1.SetHeldOutResponse, error) {
	sentences, tokens, err := s.store.SetHeldOut(ctx, tenantOf(req.Tenant), req.Model, req.Text)
	if err != nil {
		return nil, err
	}
	resp := &ngramv1.SetHeldOutResponse{Sentences: uint64(sentences), Tokens: uint64(tokens)}
	if len(req.Text) > 0 {
		sum := sha256.Sum256(req.Text)
		resp.Sha256 = sum[:]
	}
	return resp, nil
}

func policyProto(p ngram.BuildPolicy) *ngramv1.BuildPolicy {
	out := &ngramv1.BuildPolicy{
		AfterDocuments: uint32(p.AfterDocuments), EverySeconds: uint32(p.Every / time.Second), Storage: protoOf(storages, p.Storage),
		KeepBuilds: uint32(p.KeepBuilds), DiskBudgetBytes: uint64(p.DiskBudget),
	}
	if p.MaxIncrease != nil {
		out.MaxPerplexityIncrease = proto.Float64(*p.MaxIncrease)
	}
	return out
}
