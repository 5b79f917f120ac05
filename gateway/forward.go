package gateway

import (
	"context"
	"io"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// forwarding is one service of a peer that the gateway serves under the peer's own name.
type forwarding struct {
	service protoreflect.ServiceDescriptor
	peer    grpc.ClientConnInterface
	hidden  protoreflect.Name // a method that is internal to the pipeline; empty for none
	changed func()            // after a call that may have changed something there; may be nil
}

// forwarded lists what people may reach of the peers through the gateway. What is not here is internal to the
// pipeline: turns, traces, and what to say next.
func (g *Gateway) forwarded() []forwarding {
	services := func(peer grpc.ClientConnInterface, file protoreflect.FileDescriptor, names ...protoreflect.Name) []forwarding {
		var out []forwarding
		for _, name := range names {
			f := forwarding{service: file.Services().ByName(name), peer: peer}
			switch file {
			case ngramv1.File_dbslm_ngram_v1_model_proto, ngramv1.File_dbslm_ngram_v1_build_proto, ngramv1.File_dbslm_ngram_v1_corpus_proto, ngramv1.File_dbslm_ngram_v1_exchange_proto,
				ngramv1.File_dbslm_ngram_v1_rebuild_proto:
				f.changed = g.published.forgetAll
			}
			if peer == g.peers.Concept { // examples, and what was learnt of use, make another build
				f.changed = g.deciding.forgetAll
			}
			out = append(out, f)
		}
		return out
	}
	var all []forwarding
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_model_proto, "ModelService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_corpus_proto, "CorpusService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_build_proto, "BuildService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_rebuild_proto, "RebuildService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_job_proto, "JobService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_inference_proto, "InferenceService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_profile_proto, "ProfileService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_evaluation_proto, "EvaluationService")...)
	all = append(all, services(g.peers.Ngram, ngramv1.File_dbslm_ngram_v1_exchange_proto, "ExchangeService")...)
	all = append(all, services(g.peers.Memory, memoryv1.File_dbslm_memory_v1_conversation_proto, "ConversationService")...)
	all = append(all, services(g.peers.Memory, memoryv1.File_dbslm_memory_v1_correction_proto, "CorrectionService")...)
	all = append(all, services(g.peers.Memory, memoryv1.File_dbslm_memory_v1_fact_proto, "FactService", "BiasService")...)
	all = append(all, services(g.peers.Memory, memoryv1.File_dbslm_memory_v1_turn_proto, "PrivacyService")...)
	all = append(all, services(g.peers.Memory, memoryv1.File_dbslm_memory_v1_retention_proto, "RetentionService")...)
	all = append(all, services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_catalogue_proto, "CatalogueService")...)
	all = append(all, services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_bot_proto, "BotService")...)
	all = append(all, services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_signal_proto, "SignalService")...)
	all = append(all, services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_decision_proto, "ErasureService")...)
	all = append(all, services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_prediction_proto, "PredictionService")...)
	decisions := services(g.peers.Concept, conceptv1.File_dbslm_concept_v1_decision_proto, "DecisionService")
	decisions[0].hidden = "Next" // it claims signals for a turn
	return append(all, decisions...)
}

// forward registers a service whose every method calls the same method of the peer. Messages pass through
// typed, so that the gateway's interceptors, validation among them, apply to them as to its own.
func forward(r grpc.ServiceRegistrar, f forwarding) {
	desc := &grpc.ServiceDesc{
		ServiceName: string(f.service.FullName()),
		HandlerType: (*any)(nil),
		Metadata:    f.service.ParentFile().Path(),
	}
	for i := range f.service.Methods().Len() {
		method := f.service.Methods().Get(i)
		if method.Name() == f.hidden {
			continue
		}
		changed := f.changed
		if changed == nil || readsOnly(method) {
			changed = func() {}
		}
		if method.IsStreamingClient() || method.IsStreamingServer() {
			desc.Streams = append(desc.Streams, streamMethod(method, f.peer, changed))
		} else {
			desc.Methods = append(desc.Methods, unaryMethod(method, f.peer, changed))
		}
	}
	r.RegisterService(desc, f.peer)
}

func readsOnly(method protoreflect.MethodDescriptor) bool {
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func fullMethod(method protoreflect.MethodDescriptor) string {
	return "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
}

func newMessage(desc protoreflect.MessageDescriptor) proto.Message {
	if t, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName()); err == nil {
		return t.New().Interface()
	}
	return dynamicpb.NewMessage(desc)
}

func unaryMethod(method protoreflect.MethodDescriptor, peer grpc.ClientConnInterface, changed func()) grpc.MethodDesc {
	full := fullMethod(method)
	call := func(ctx context.Context, in any) (any, error) {
		defer changed()
		out := newMessage(method.Output())
		if err := peer.Invoke(ctx, full, in, out); err != nil {
			return nil, err
		}
		return out, nil
	}
	return grpc.MethodDesc{
		MethodName: string(method.Name()),
		Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			in := newMessage(method.Input())
			if err := decode(in); err != nil {
				return nil, err
			}
			if interceptor == nil {
				return call(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: full}, call)
		},
	}
}

func streamMethod(method protoreflect.MethodDescriptor, peer grpc.ClientConnInterface, changed func()) grpc.StreamDesc {
	desc := grpc.StreamDesc{
		StreamName:    string(method.Name()),
		ServerStreams: method.IsStreamingServer(),
		ClientStreams: method.IsStreamingClient(),
	}
	desc.Handler = func(_ any, server grpc.ServerStream) error {
		defer changed()
		ctx, cancel := context.WithCancelCause(server.Context())
		defer cancel(nil) // ends the peer's side when the caller's ends first
		client, err := peer.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, fullMethod(method))
		if err != nil {
			return err
		}
		go func() {
			if err := pump(server.RecvMsg, client.SendMsg, client.CloseSend, method.Input()); err != nil {
				cancel(err) // for example a message that failed validation
			}
		}()
		err = pump(client.RecvMsg, server.SendMsg, nil, method.Output())
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		return err
	}
	return desc
}

// pump copies messages until the source ends, then closes the sink. A sink that ended early is not an error
// here: its status reaches the caller through the other direction.
func pump(recv, send func(any) error, closeSink func() error, desc protoreflect.MessageDescriptor) error {
	for {
		m := newMessage(desc)
		if err := recv(m); err == io.EOF {
			if closeSink != nil {
				return closeSink()
			}
			return nil
		} else if err != nil {
			return err
		}
		if err := send(m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
