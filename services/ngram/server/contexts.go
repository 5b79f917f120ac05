package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

const (
	defaultPage = 100
	// flushEvery is the least time between two flushes of the use of contexts, flushTimeout what one may take: it is
	// done at the end of a request and must not be noticed.
	flushEvery   = time.Minute
	flushTimeout = 250 * time.Millisecond
)

// flushTimer remembers when the use of contexts was flushed last.
type flushTimer struct {
	mu   sync.Mutex
	last time.Time
}

func (f *flushTimer) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.last) < flushEvery {
		return false
	}
	f.last = now
	return true
}

// flushUses writes the use of contexts now and then. A store that cannot be written now loses some of it.
func (s *Inference) flushUses(ctx context.Context) {
	now := s.now()
	if !s.flush.due(now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := s.reader.FlushUses(ctx, now); err != nil {
		s.log.DebugContext(ctx, "use of contexts not written", "error", err)
	}
}

// ListContexts implements ngramv1.InferenceServiceServer.
func (s *Inference) ListContexts(ctx context.Context, request *ngramv1.ListContextsRequest) (*ngramv1.ListContextsResponse, error) {
	build, err := s.open(ctx, listTarget{request})
	if err != nil {
		return nil, err
	}
	limit := int(request.GetPageSize())
	switch {
	case limit < 0:
		return nil, errors.New(errors.InvalidArgument, "PAGE_SIZE_INVALID", "page_size must not be negative").Field("page_size", "must be from 0 to 1000")
	case limit == 0:
		limit = defaultPage
	}
	limit = min(limit, 1000)
	query := xxhash.Sum64String(request.GetTenant() + "\x00" + request.GetModel() + "\x00contexts")
	position, err := decodePosition(request.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	uses, err := build.Uses(ctx, position, limit, s.now())
	if err != nil {
		return nil, err
	}
	response := &ngramv1.ListContextsResponse{}
	for _, use := range uses {
		described := &ngramv1.ContextUse{
			ContextHash: use.Hash, Hotness: use.Hotness, Followers: uint64(use.Followers), Count: uint64(use.Count),
		}
		for _, id := range use.Tokens {
			if int(id) < build.Vocabulary.Len() {
				described.Tokens = append(described.Tokens, build.token(id))
			}
		}
		response.Contexts = append(response.Contexts, described)
	}
	if len(uses) == limit {
		response.NextPageToken = encodePosition(uses[len(uses)-1].Position(), query)
	}
	return response, nil
}

// listTarget lists the contexts of the build that serves.
type listTarget struct{ *ngramv1.ListContextsRequest }

// GetBuildId implements target.
func (listTarget) GetBuildId() uint32 { return 0 }

const positionBytes = 8 + 8 + 1 + 8

// encodePosition makes a page token that belongs to one query.
func encodePosition(position store.UsePosition, query uint64) string {
	token := make([]byte, 0, positionBytes)
	token = binary.BigEndian.AppendUint64(token, query)
	token = binary.BigEndian.AppendUint64(token, math.Float64bits(position.Stored))
	token = append(token, byte(position.Order))
	token = binary.BigEndian.AppendUint64(token, uint64(position.Hash))
	return base64.RawURLEncoding.EncodeToString(token)
}

func decodePosition(written string, query uint64) (store.UsePosition, error) {
	if written == "" {
		return store.FirstUse, nil
	}
	token, err := base64.RawURLEncoding.DecodeString(written)
	if err != nil || len(token) != positionBytes || binary.BigEndian.Uint64(token) != query {
		return store.UsePosition{}, errors.New(errors.InvalidArgument, "PAGE_TOKEN_INVALID",
			"the page token belongs to another list; begin again without one").Field("page_token", "must come from the page before")
	}
	position := store.UsePosition{
		Stored: math.Float64frombits(binary.BigEndian.Uint64(token[8:])),
		Order:  int(token[16]),
		Hash:   int64(binary.BigEndian.Uint64(token[17:])),
	}
	if math.IsNaN(position.Stored) || math.IsInf(position.Stored, 0) {
		return store.FirstUse, nil
	}
	return position, nil
}
