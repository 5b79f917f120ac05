package server

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/slots"
)

const (
	// formula is what the numbers of a prediction follow from; see package predict.
	formula = "score(c) = sum over the known features f of x(f)*log((n(f,c)+0.08)/(N(c)+0.08*V)); P(c) = exp(scale*score(c)) / sum over all concepts and the background"
	// maxFeatures bounds the features of an utterance that an answer lists.
	maxFeatures = 1000
)

// predictions implements PredictionService.
type predictions struct {
	*Server
	conceptv1.UnimplementedPredictionServiceServer
}

// GetDecidingBuild implements PredictionService.
func (s *predictions) GetDecidingBuild(ctx context.Context, req *conceptv1.GetDecidingBuildRequest) (*conceptv1.GetDecidingBuildResponse, error) {
	b, err := s.bots.get(ctx, botOf(req.Tenant, req.Bot), 0)
	if err != nil {
		return nil, err
	}
	return &conceptv1.GetDecidingBuildResponse{BuildId: b.build.ID, Threshold: b.build.Threshold}, nil
}

// Predict implements PredictionService.
func (s *predictions) Predict(ctx context.Context, req *conceptv1.PredictRequest) (*conceptv1.PredictResponse, error) {
	b, err := s.bots.get(ctx, botOf(req.Tenant, req.Bot), req.BuildId)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.PredictResponse{
		BuildId: b.build.ID, Examples: uint64(b.model.Examples()), Threshold: b.build.Threshold, Scale: b.model.Scale(), Formula: formula,
	}
	for _, text := range req.Texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		judged := b.predict(text, req, s.now())
		s.readSlots(b, text, req, judged)
		resp.Predictions = append(resp.Predictions, judged)
	}
	return resp, nil
}

func (b *bot) predict(text string, req *conceptv1.PredictRequest, now time.Time) *conceptv1.Prediction {
	judged := b.model.Explain(text, int(req.MaxEvidence))
	b.beyondValues(text, judged.Candidates, func(name string) slots.Reading {
		return slots.Reading{Now: now, Language: req.LanguageCode, Fits: b.schemas[name].Fits}
	})
	out := &conceptv1.Prediction{
		Abstention: "no_concepts", FeatureCount: uint32(len(judged.Occurrences)),
		Background: &conceptv1.Background{Probability: judged.Background, Score: judged.BackgroundScore},
	}
	most := cmp.Or(int(req.MaxCandidates), maxConsidered)
	for i, c := range b.ranked(judged.Candidates) {
		reason := b.objection(c)
		if reason == belowThreshold && out.Concept == "" {
			out.Abstention = reason
		}
		chosen := reason == "" && out.Concept == ""
		if chosen {
			out.Concept, out.Abstention = c.Concept, ""
		}
		if i < most || chosen {
			out.Candidates = append(out.Candidates, candidateProto(c, reason))
		}
	}
	if req.Features {
		out.Features = featureProtos(judged.Occurrences)
	}
	return out
}

// readSlots tells what an utterance says of the slots of the concept that it means.
func (s *predictions) readSlots(b *bot, text string, req *conceptv1.PredictRequest, to *conceptv1.Prediction) {
	set := b.slots[to.Concept]
	reading := slots.Reading{Now: s.now(), Language: req.LanguageCode, Fits: b.schemas[to.Concept].Fits}
	if req.Now != nil {
		reading.Now = req.Now.AsTime()
	}
	if reading.Language == "" {
		reading.Language, _ = b.tongues.Of(text)
	}
	said := map[string]bool{}
	for _, f := range set.Read(text, reading) {
		said[f.Slot] = true
		value, err := json.Marshal(f.Value)
		if err != nil { // texts, numbers and booleans always can be
			continue
		}
		to.Slots = append(to.Slots, &conceptv1.ReadSlotValue{Slot: f.Slot, ValueJson: string(value), From: uint32(f.From), To: uint32(f.To)})
	}
	for _, slot := range set.List() {
		if !said[slot.Slot] {
			to.UnsaidSlots = append(to.UnsaidSlots, slot.Slot)
		}
	}
}

// belowThreshold is why a concept that is not probable enough, or only weakly spoken for, does not speak.
const belowThreshold = "below_threshold"

// ranked orders concepts as they are tried: by probability, then priority, then name.
func (b *bot) ranked(candidates []predict.Candidate) []predict.Candidate {
	slices.SortStableFunc(candidates, func(x, y predict.Candidate) int {
		return cmp.Or(cmp.Compare(y.Probability, x.Probability), cmp.Compare(b.concepts[y.Concept].Priority, b.concepts[x.Concept].Priority))
	})
	return candidates
}

// beyondValues takes the weakness from the most probable concept where it is weak only for the values that it reads: "book a table for
// 12/24 at 7:30" says as much about booking as "book a table" does.
func (b *bot) beyondValues(text string, candidates []predict.Candidate, reading func(concept string) slots.Reading) {
	if len(candidates) == 0 || !candidates[0].Weak || b.slots[candidates[0].Concept] == nil {
		return
	}
	first := &candidates[0]
	rest := b.slots[first.Concept].Rest(text, reading(first.Concept))
	if again := b.model.Predict(rest); len(again) > 0 && again[0].Concept == first.Concept && again[0].Probability >= b.build.Threshold {
		first.Weak = again[0].Weak
	}
}

// objection says why prediction alone does not let a concept speak; "" when it does.
func (b *bot) objection(c predict.Candidate) string {
	known, ok := b.concepts[c.Concept]
	switch {
	case onlyForCorrections(c.Concept):
		return "only_for_corrections"
	case c.Probability < b.build.Threshold, c.Weak:
		return belowThreshold
	case !ok:
		return "unknown_concept"
	case known.Disabled:
		return "disabled"
	}
	return ""
}

func onlyForCorrections(name string) bool {
	return name == concept.CorrectionReplay || name == concept.CorrectedFact
}

func candidateProto(c predict.Candidate, reason string) *conceptv1.PredictedConcept {
	out := &conceptv1.PredictedConcept{
		Concept: c.Concept, Probability: c.Probability, Score: c.Score, Base: c.Base, Weak: c.Weak, Reason: reason, EvidenceCount: uint32(c.Found),
	}
	for _, e := range c.Evidence {
		out.Evidence = append(out.Evidence, &conceptv1.Evidence{Feature: e.Feature, Count: e.Count, Weight: e.Weight})
	}
	return out
}

func featureProtos(all []predict.Occurrence) (out []*conceptv1.UtteranceFeature) {
	slices.SortFunc(all, func(a, b predict.Occurrence) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), strings.Compare(a.Feature, b.Feature))
	})
	for _, o := range all[:min(len(all), maxFeatures)] {
		out = append(out, &conceptv1.UtteranceFeature{Feature: o.Feature, Occurrence: o.Weight, Documents: uint64(o.Documents), ContextHash: predict.Hash(o.Feature)})
	}
	return out
}
