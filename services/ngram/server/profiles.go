package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/store"
)

// profiles implements ProfileService.
type profiles struct {
	ngramv1.UnimplementedProfileServiceServer
	store *store.Store
}

// builtIn are the profiles that need not be stored. A stored profile of the same name is laid over them.
var builtIn = []struct {
	name   string
	params func() decoding.Params
}{
	{defaultProfile, decoding.DefaultParams},
	{plainProfile, decoding.PlainParams},
}

// ListProfiles implements ProfileService.
func (s *profiles) ListProfiles(ctx context.Context, req *ngramv1.ListProfilesRequest) (*ngramv1.ListProfilesResponse, error) {
	stored, err := s.store.Profiles(ctx, tenantOf(req.GetTenant()), req.GetModel())
	if err != nil {
		return nil, err
	}
	response := &ngramv1.ListProfilesResponse{}
	for _, p := range stored {
		parsed, err := parseProfile(p.Name, p.Parameters)
		if err != nil {
			return nil, err
		}
		described := &ngramv1.Profile{Name: p.Name, Parameters: parsed.told()}
		if !p.ForAll {
			described.Model = req.GetModel()
		}
		response.Profiles = append(response.Profiles, described)
	}
	for _, b := range builtIn {
		response.Profiles = append(response.Profiles, &ngramv1.Profile{Name: b.name, Parameters: profileOf(b.params()).told(), BuiltIn: true})
	}
	slices.SortStableFunc(response.Profiles, func(a, b *ngramv1.Profile) int { return strings.Compare(a.Name, b.Name) })
	return response, nil
}

// SetProfile implements ProfileService.
func (s *profiles) SetProfile(ctx context.Context, req *ngramv1.SetProfileRequest) (*ngramv1.SetProfileResponse, error) {
	asked := req.GetProfile()
	if name := asked.GetName(); strings.TrimSpace(name) != name || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, errors.New(errors.InvalidArgument, "PROFILE_NAME_INVALID", "the name %q begins or ends with a space or holds a NUL", name).
			Field("profile.name", "must not begin or end with a space, nor hold a NUL")
	}
	if err := onlyProfile(asked.GetParameters()); err != nil {
		return nil, err
	}
	kept := asProfile(asked.GetParameters())
	params := base(asked.GetName())
	kept.over(&params)
	if invalid := refuse(params.Validate(), "profile.parameters."); invalid != nil {
		return nil, invalid
	}
	parameters, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if err := s.store.SetProfile(ctx, tenantOf(req.GetTenant()), asked.GetModel(), asked.GetName(), string(parameters)); err != nil {
		return nil, err
	}
	return &ngramv1.SetProfileResponse{Profile: &ngramv1.Profile{Name: asked.GetName(), Parameters: kept.told(), Model: asked.GetModel()}}, nil
}

// onlyProfile refuses parameters that belong to a request, and a profile that sets nothing.
func onlyProfile(p *ngramv1.DecodeParameters) error {
	for _, own := range []struct {
		field string
		given bool
	}{
		{"profile", p.GetProfile() != ""},
		{"seed", p.Seed != nil},
		{"stop", len(p.GetStop()) > 0},
		{"bans", len(p.GetBans()) > 0},
		{"ban_tokens", len(p.GetBanTokens()) > 0},
		{"biases", len(p.GetBiases()) > 0},
		{"required", len(p.GetRequired()) > 0},
		{"extension", len(p.GetExtension()) > 0},
		{"n", p.N != nil},
	} {
		if own.given {
			return errors.New(errors.InvalidArgument, "PROFILE_INVALID", "%s belongs to a request and cannot be part of a profile", own.field).
				Field("profile.parameters."+own.field, "belongs to a request")
		}
	}
	if proto.Equal(asProfile(p).told(), &ngramv1.DecodeParameters{}) {
		return errors.New(errors.InvalidArgument, "PROFILE_EMPTY", "the profile sets nothing; give it a parameter").
			Field("profile.parameters", "must set a parameter")
	}
	return nil
}

// DeleteProfile implements ProfileService.
func (s *profiles) DeleteProfile(ctx context.Context, req *ngramv1.DeleteProfileRequest) (*ngramv1.DeleteProfileResponse, error) {
	if err := s.store.DeleteProfile(ctx, tenantOf(req.GetTenant()), req.GetModel(), req.GetName()); err != nil {
		return nil, err
	}
	return &ngramv1.DeleteProfileResponse{}, nil
}

// ListBans implements ProfileService.
func (s *profiles) ListBans(ctx context.Context, req *ngramv1.ListBansRequest) (*ngramv1.ListBansResponse, error) {
	bans, err := s.store.Bans(ctx, tenantOf(req.GetTenant()), req.GetModel())
	if err != nil {
		return nil, err
	}
	response := &ngramv1.ListBansResponse{}
	for _, b := range bans {
		described := &ngramv1.Ban{Text: strings.ToValidUTF8(b.Text, "\uFFFD")}
		if !b.ForAll {
			described.Model = req.GetModel()
		}
		response.Bans = append(response.Bans, described)
	}
	return response, nil
}

// AddBan implements ProfileService.
func (s *profiles) AddBan(ctx context.Context, req *ngramv1.AddBanRequest) (*ngramv1.AddBanResponse, error) {
	if strings.TrimSpace(req.GetBan().GetText()) == "" {
		return nil, errors.New(errors.InvalidArgument, "BAN_EMPTY", "the ban holds only spaces; give it a word").Field("ban.text", "must hold a word")
	}
	if err := s.store.AddBan(ctx, tenantOf(req.GetTenant()), req.GetBan().GetModel(), req.GetBan().GetText()); err != nil {
		return nil, err
	}
	return &ngramv1.AddBanResponse{}, nil
}

// RemoveBan implements ProfileService.
func (s *profiles) RemoveBan(ctx context.Context, req *ngramv1.RemoveBanRequest) (*ngramv1.RemoveBanResponse, error) {
	if err := s.store.RemoveBan(ctx, tenantOf(req.GetTenant()), req.GetBan().GetModel(), req.GetBan().GetText()); err != nil {
		return nil, err
	}
	return &ngramv1.RemoveBanResponse{}, nil
}
