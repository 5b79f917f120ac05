// Package server speaks gRPC for the ngram service: it turns requests into values, calls the store, and turns values
// into responses. It is the only package of the service that knows protobuf.
package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dbslm/pkg/database"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

const (
	// purgeEvery is how often the rows of retired generations are looked for.
	purgeEvery = time.Minute
	// purgeGrace lets requests end that began to read a build just before it was dropped.
	purgeGrace = 2 * time.Minute
)

// Options configure a server. The zero value is usable.
type Options struct {
	// Logger receives what nobody waits for; default none.
	Logger *slog.Logger
	// Clock tells the time; default time.Now.
	Clock func() time.Time
	// PolicyEvery is how often build policies are looked at; default every 10 seconds.
	PolicyEvery time.Duration
	// CacheBytes bounds the contexts kept in memory; default that of store.NewReader.
	CacheBytes int64
	// ResidentBytes bounds the memory of builds that are held whole, all together; 0 means DefaultResidentBytes, below 0 none
	// is. A build that does not fit is served from its rows and the cache.
	ResidentBytes int64
	// ResidentDir is a directory of this store alone for the local files of builds held whole; without one they are made
	// anew by every process.
	ResidentDir string
	// Warm makes what serves ready before it is asked for: builds held whole where they fit, else their hottest contexts in
	// the cache.
	Warm bool
}

// DefaultResidentBytes is the memory for builds held whole: about 100 million n-grams. The pages of local files are shared by
// the processes that map them, and given up by the system when it needs them.
const DefaultResidentBytes = 1 << 30

// Server serves dbslm.ngram.v1: models, documents, builds and inference.
type Server struct {
	db        *database.DB
	store     *store.Store
	reader    *store.Reader
	inference *Inference
	log       *slog.Logger
	warm      bool
	changed   chan struct{} // what serves has changed
	unswept   atomic.Bool   // local files could not be swept
	jobs      *jobs
	builds    *builds

	policyEvery time.Duration

	start      sync.Once
	stop       context.CancelFunc
	background sync.WaitGroup
	lifetime   context.Context //nolint:containedctx // the lifetime of the background work, ended by Close
}

// New returns a server over an open, migrated schema. Background work begins with Register and ends with Close.
func New(db *database.DB, options Options) *Server {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.ResidentBytes == 0 {
		options.ResidentBytes = DefaultResidentBytes
	}
	reader := store.NewReader(db, store.ReaderOptions{
		CacheBytes: options.CacheBytes, ResidentBytes: options.ResidentBytes, ResidentDir: options.ResidentDir, Logger: options.Logger,
	})
	s := &Server{
		db:        db,
		reader:    reader,
		inference: NewInference(reader, options.Logger),
		log:       options.Logger,
		warm:      options.Warm,
		changed:   make(chan struct{}, 1),
	}
	s.store = store.New(db, store.Options{Logger: options.Logger, Clock: options.Clock, Served: s.served})
	s.lifetime, s.stop = context.WithCancel(context.Background())
	s.jobs = &jobs{store: s.store, log: options.Logger, lifetime: s.lifetime}
	s.builds = &builds{store: s.store, inference: s.inference, jobs: s.jobs}
	if s.policyEvery = options.PolicyEvery; s.policyEvery <= 0 {
		s.policyEvery = policyEvery
	}
	return s
}

// Register adds the services to a server and begins the background work.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	ngramv1.RegisterModelServiceServer(r, &models{store: s.store})
	ngramv1.RegisterProfileServiceServer(r, &profiles{store: s.store})
	ngramv1.RegisterCorpusServiceServer(r, &corpus{store: s.store, reader: s.reader, jobs: s.jobs})
	ngramv1.RegisterBuildServiceServer(r, s.builds)
	ngramv1.RegisterRebuildServiceServer(r, &rebuilds{store: s.store, jobs: s.jobs})
	ngramv1.RegisterJobServiceServer(r, s.jobs)
	ngramv1.RegisterEvaluationServiceServer(r, &evaluations{store: s.store})
	ngramv1.RegisterExchangeServiceServer(r, &exchanges{store: s.store, reader: s.reader})
	s.inference.Register(r)
	s.start.Do(func() {
		s.background.Go(s.purge)
		s.background.Go(s.refresh)
		s.background.Go(s.follow)
	})
}

// Ready reports whether the database answers with a schema that this program knows.
func (s *Server) Ready(ctx context.Context) error { return s.db.CheckSchema(ctx) }

// Close ends the background work. The database belongs to the caller.
func (s *Server) Close() error {
	s.stop()
	s.background.Wait()
	s.jobs.work.Wait()
	s.reader.Close()
	return nil
}

// purge deletes the rows of retired generations, in bounded batches, until Close.
func (s *Server) purge() {
	every := time.NewTicker(purgeEvery)
	defer every.Stop()
	for {
		select {
		case <-s.lifetime.Done():
			return
		case <-every.C:
		}
		if err := s.store.ForgetJobs(s.lifetime); err != nil && s.lifetime.Err() == nil {
			s.log.WarnContext(s.lifetime, "deleting the records of old jobs failed; the next attempt goes on", "error", err)
		}
		gone, err := s.store.Purge(s.lifetime, purgeGrace)
		switch {
		case s.lifetime.Err() != nil:
			return
		case err != nil:
			s.log.WarnContext(s.lifetime, "removing the rows of retired models failed; the next attempt goes on", "error", err)
		case gone > 0:
			s.log.InfoContext(s.lifetime, "removed the rows of retired models", "generations", gone)
		}
	}
}

func tenantOf(tenant string) string {
	if tenant == "" {
		return ngram.DefaultTenant
	}
	return tenant
}
