package server

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

const (
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
	limit := pagetoken.Size(request.GetPageSize())
	query := []string{"ListContexts", request.GetTenant(), request.GetModel()}
	position, err := decodePosition(request.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	uses, err := build.Uses(ctx, position, limit, s.now())
	if err != nil {
		return nil, err
	}
	cache := s.reader.CacheStats()
	response := &ngramv1.ListContextsResponse{
		Cache: &ngramv1.ContextCache{Entries: uint64(cache.Entries), Bytes: cache.Bytes, Hits: cache.Hits, Misses: cache.Misses},
	}
	for _, use := range uses {
		described := &ngramv1.ContextUse{
			ContextHash: use.Hash, Hotness: use.Hotness, Followers: uint64(use.Followers), Count: uint64(use.Count),
			Share: use.Share, Cached: use.Cached,
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

// encodePosition makes the page token of a position.
func encodePosition(position store.UsePosition, query []string) string {
	return pagetoken.Encode(query, strconv.FormatFloat(position.Stored, 'x', -1, 64), strconv.Itoa(position.Order), strconv.FormatInt(position.Hash, 10))
}

func decodePosition(written string, query []string) (store.UsePosition, error) {
	parts, err := pagetoken.Decode(written, query, 3)
	if err != nil {
		return store.UsePosition{}, err
	}
	if parts == nil {
		return store.FirstUse, nil
	}
	stored, err1 := strconv.ParseFloat(parts[0], 64)
	order, err2 := strconv.Atoi(parts[1])
	hash, err3 := strconv.ParseInt(parts[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || math.IsNaN(stored) || math.IsInf(stored, 0) {
		return store.UsePosition{}, pagetoken.Damaged()
	}
	return store.UsePosition{Stored: stored, Order: order, Hash: hash}, nil
}
