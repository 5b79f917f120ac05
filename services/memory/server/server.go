// Package server speaks gRPC for the memory service: it turns requests into values, calls the store, and turns values into
// responses. It is the only package of the service that knows protobuf. Deadlines, logs, metrics, the rules in the protos
// and the mapping of errors are the interceptors' work, in package rpc.
package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dbslm/pkg/database"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Options of New. The zero value is right for a service.
type Options struct {
	// Clock is time.Now unless a test sets it. It may go backwards: order never depends on it.
	Clock func() time.Time
	// Logger receives what the service does on its own account. nil: discarded.
	Logger *slog.Logger
	// RetentionLook is how often retention policies that are due are looked for; 0 means every minute.
	RetentionLook time.Duration
}

// Service serves the memory level's gRPC services over one store. It implements rpc.Service.
type Service struct {
	store  *store.Store
	clock  func() time.Time
	logger *slog.Logger
	broken error // why there is no store; Ready tells

	retentionLook time.Duration

	start      sync.Once
	stop       context.CancelFunc
	background sync.WaitGroup
	lifetime   context.Context //nolint:containedctx // the lifetime of the background work, ended by Close
}

// New returns the service over an open database, which stays the caller's to close. The tables need not be there yet: Ready
// says whether they are. Background work begins with Register and ends with Close.
func New(db *database.DB, options Options) *Service {
	s := &Service{clock: options.Clock, logger: options.Logger}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.retentionLook = options.RetentionLook; s.retentionLook <= 0 {
		s.retentionLook = retentionLook
	}
	s.lifetime, s.stop = context.WithCancel(context.Background())
	s.store, s.broken = store.New(db)
	return s
}

// Register implements rpc.Service.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	memoryv1.RegisterConversationServiceServer(r, conversations{Service: s})
	memoryv1.RegisterTurnServiceServer(r, turns{Service: s})
	memoryv1.RegisterCorrectionServiceServer(r, corrections{Service: s})
	memoryv1.RegisterFactServiceServer(r, facts{Service: s})
	memoryv1.RegisterBiasServiceServer(r, biases{Service: s})
	memoryv1.RegisterTraceServiceServer(r, traces{Service: s})
	memoryv1.RegisterPrivacyServiceServer(r, privacy{Service: s})
	memoryv1.RegisterForgettingServiceServer(r, forgetting{Service: s})
	memoryv1.RegisterRetentionServiceServer(r, retention{Service: s})
	if s.store != nil {
		s.start.Do(func() {
			s.background.Go(s.keep)
			s.background.Go(s.reindex)
		})
	}
}

// Ready implements rpc.Service: the store answers and has the tables that this program knows.
func (s *Service) Ready(ctx context.Context) error {
	if s.broken != nil {
		return s.broken
	}
	return s.store.Ready(ctx)
}

// Close ends the background work and releases what New made; the database stays open.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

// now is the present in the precision in which times are stored.
func (s *Service) now() time.Time { return time.UnixMicro(s.clock().UnixMicro()).UTC() }

// tenantRequest is any request of this service.
type tenantRequest interface {
	proto.Message
	GetTenant() string
}

// tenantOf checks what every request must hold to — no NUL in any text, names that databases compare as people do — and
// returns its tenant.
func tenantOf(req tenantRequest) (string, error) {
	if err := checkText("", req.ProtoReflect()); err != nil {
		return "", err
	}
	tenant := req.GetTenant()
	if tenant == "" {
		return memory.DefaultTenant, nil
	}
	return tenant, memory.CheckName("tenant", tenant)
}

// checkText refuses NUL anywhere in the texts of a message: databases and C programs end text there.
func checkText(path string, m protoreflect.Message) (err error) {
	check := func(name string, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch {
		case err != nil:
		case fd.Kind() == protoreflect.StringKind && holdsNUL(v.String()):
			err = memory.Invalid(name, "must not hold the character NUL")
		case fd.Message() != nil:
			err = checkText(name+".", v.Message())
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := path + string(fd.Name())
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				check(name, fd, v.List().Get(i))
			}
		case fd.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				check(name, fd.MapKey(), key.Value())
				check(name, fd.MapValue(), value)
				return err == nil
			})
		default:
			check(name, fd, v)
		}
		return err == nil
	})
	return err
}

func holdsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

// checkNames checks pairs of a field and its value with memory.CheckName.
func checkNames(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := memory.CheckName(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// checkIDs checks pairs of a thing and an id. What does not look like an id of ours is the id of nothing; saying so here
// keeps databases from reading more into it ("id " equals "id" in MySQL). Empty ids pass.
func checkIDs(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		id := pairs[i+1]
		if id == "" {
			continue
		}
		if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
			return memory.NotFound(pairs[i], id)
		}
	}
	return nil
}
