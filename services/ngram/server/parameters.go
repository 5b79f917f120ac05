package server

import (
	"google.golang.org/protobuf/proto"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/decoding"
)

// Profiles that need not be stored. A stored profile of the same name is laid over them.
const (
	defaultProfile = "default" // replies
	plainProfile   = "plain"   // the model's own distribution
)

// parameters resolves a profile, what is stored of it, and the request to the parameters in force. The seed is the service's when none is given.
func (s *Inference) parameters(name, stored string, request *ngramv1.DecodeParameters) (decoding.Params, error) {
	params, err := profileNamed(name, stored)
	if err != nil {
		return decoding.Params{}, err
	}
	if request == nil {
		request = &ngramv1.DecodeParameters{}
	}
	asProfile(request).over(&params)
	n := int(request.GetN())
	switch {
	case params.BeamWidth > 0 && request.BestOf != nil && request.GetBestOf() > 1:
		return decoding.Params{}, parameterInvalid("best_of", "is %d, but a search with beam_width draws none; leave one of the two out", request.GetBestOf())
	case params.BeamWidth > 0 && n > params.BeamWidth:
		return decoding.Params{}, parameterInvalid("n", "is %d, but the search ends with %d segments at most (beam_width); widen it, or ask for fewer", n, params.BeamWidth)
	case params.BeamWidth > 0:
		params.BestOf = 1
	case n > params.BestOf:
		if request.BestOf != nil {
			return decoding.Params{}, parameterInvalid("n", "is %d, but only %d segments are drawn (best_of); draw more, or ask for fewer", n, params.BestOf)
		}
		params.BestOf = n
	}
	params.Stop = request.GetStop()
	if request.Seed != nil {
		params.Seed = request.GetSeed()
	} else {
		params.Seed = s.seed()
	}
	if request.CacheWeight != nil && request.GetCacheWeight() == decoding.AutoCacheWeight {
		params.CacheWeight = -2 // the request cannot ask for "automatic" by its private number
	}
	if invalid := refuse(params.Validate(), "parameters."); invalid != nil {
		return decoding.Params{}, invalid
	}
	return params, nil
}

// maxSearched bounds the candidates that a search keeps side by side, of 56 bytes each.
const maxSearched = 4 << 20

// searchable refuses a search whose candidates would take too much memory in a vocabulary of so many words.
func searchable(p decoding.Params, words int) error {
	kept := words
	if p.TopK > 0 {
		kept = min(kept, p.TopK)
	}
	if most := maxSearched / (p.BeamWidth + 1); p.BeamWidth > 0 && kept > most {
		return parameterInvalid("top_k", "keeps %d candidates of %d words, too many for a search of beam_width %d; give 1 to %d, or a smaller beam_width", kept, words, p.BeamWidth, most)
	}
	return nil
}

// profileNamed returns the parameters of a profile by its name and what is stored of it, "" for nothing.
func profileNamed(name, stored string) (decoding.Params, error) {
	params := base(name)
	if stored == "" {
		if name != defaultProfile && name != plainProfile {
			return decoding.Params{}, errors.New(errors.NotFound, "PROFILE_NOT_FOUND",
				"there is no decode profile %q; list them with: dbslm profiles, or store it with: dbslm profiles set %s", name, name).
				Field("parameters.profile", "must be a stored profile")
		}
		return params, nil
	}
	p, err := parseProfile(name, stored)
	if err != nil {
		return decoding.Params{}, err
	}
	p.over(&params)
	return params, nil
}

// inForce tells a caller every parameter of a generation.
func inForce(params decoding.Params, cacheWeight float64, request *ngramv1.DecodeParameters, bans []string) *ngramv1.DecodeParameters {
	all := profileOf(params).told()
	all.Profile = request.GetProfile()
	if all.Profile == "" {
		all.Profile = defaultProfile
	}
	all.CacheWeight = &cacheWeight
	if request != nil { // a request without parameters has none to tell
		all.N = request.N
	}
	all.Seed = proto.Uint64(params.Seed)
	all.Stop, all.Bans = params.Stop, bans
	all.Biases, all.Required, all.Extension = request.GetBiases(), request.GetRequired(), request.GetExtension()
	all.BanTokens = request.GetBanTokens()
	return all
}
