package dbslm_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Every RPC of every service is called with a valid message. Those in the table of docs/rpcs.md answer
// UNIMPLEMENTED, and no others do.
func TestUnimplementedRPCs(t *testing.T) {
	doc, err := os.ReadFile("docs/rpcs.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		listed = append(listed, m[1])
	}
	sys := open(t, dbslm.Config{DB: ":memory:"})
	called := map[string]bool{}
	for level, files := range map[dbslm.Service][]protoreflect.FileDescriptor{
		dbslm.Ngram: {
			ngramv1.File_dbslm_ngram_v1_model_proto, ngramv1.File_dbslm_ngram_v1_corpus_proto, ngramv1.File_dbslm_ngram_v1_build_proto, ngramv1.File_dbslm_ngram_v1_job_proto,
			ngramv1.File_dbslm_ngram_v1_inference_proto, ngramv1.File_dbslm_ngram_v1_evaluation_proto, ngramv1.File_dbslm_ngram_v1_exchange_proto,
			ngramv1.File_dbslm_ngram_v1_profile_proto, ngramv1.File_dbslm_ngram_v1_rebuild_proto,
		},
		dbslm.Memory: {
			memoryv1.File_dbslm_memory_v1_conversation_proto, memoryv1.File_dbslm_memory_v1_correction_proto,
			memoryv1.File_dbslm_memory_v1_fact_proto, memoryv1.File_dbslm_memory_v1_turn_proto, memoryv1.File_dbslm_memory_v1_forgetting_proto,
			memoryv1.File_dbslm_memory_v1_retention_proto,
		},
		dbslm.Concept: {
			conceptv1.File_dbslm_concept_v1_catalogue_proto, conceptv1.File_dbslm_concept_v1_signal_proto,
			conceptv1.File_dbslm_concept_v1_decision_proto, conceptv1.File_dbslm_concept_v1_bot_proto,
			conceptv1.File_dbslm_concept_v1_audit_proto, conceptv1.File_dbslm_concept_v1_prediction_proto,
		},
		dbslm.Gateway: {gatewayv1.File_dbslm_gateway_v1_gateway_proto},
	} {
		for _, file := range files {
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				if service.Name() == "PayloadProviderService" {
					continue
				}
				for j := range service.Methods().Len() {
					name := string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
					called[name] = true
					err := call(t, sys.ConnTo(level), service.Methods().Get(j))
					if got, want := errors.KindOf(err) == errors.Unimplemented && err != nil, slices.Contains(listed, name); got != want {
						t.Errorf("%s: unimplemented is %v, listed in docs/rpcs.md is %v (%v)", name, got, want, err)
					}
				}
			}
		}
	}
	for _, name := range listed {
		if !called[name] {
			t.Errorf("docs/rpcs.md lists %s, which does not exist", name)
		}
	}
}

// MySQL takes "default " for "default", so no request names a tenant with white space at an end.
func TestTenantsAreNotPadded(t *testing.T) {
	checked := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "dbslm.") {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			tenant := message.Fields().ByName("tenant")
			if name := string(message.Name()); tenant == nil || name == "ProvidePayloadRequest" || !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Header") {
				continue
			}
			m := dynamicpb.NewMessage(message)
			m.Set(tenant, protoreflect.ValueOfString("default "))
			if err := protovalidate.Validate(m); err == nil || !strings.Contains(err.Error(), "tenant") {
				t.Errorf("%s takes the tenant \"default \": %v", message.FullName(), err)
			}
			checked++
		}
		return true
	})
	if checked < 50 {
		t.Errorf("only %d messages with a tenant were found", checked)
	}
}

// docs/grpcurl.md shows what the gateway's reflection lists.
func TestListedServices(t *testing.T) {
	doc, err := os.ReadFile("docs/grpcurl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), " list\n")
	var shown []string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "    $") {
			break
		}
		shown = append(shown, strings.TrimSpace(line))
	}
	sys := open(t, dbslm.Config{DB: ":memory:"})
	stream, err := reflectionv1.NewServerReflectionClient(sys.Conn()).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	reply, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, service := range reply.GetListServicesResponse().GetService() {
		listed = append(listed, service.GetName())
	}
	slices.Sort(listed)
	if diff := cmp.Diff(listed, shown); diff != "" {
		t.Errorf("docs/grpcurl.md shows other services (-listed +shown):\n%s", diff)
	}
}

// call makes one call with the first message only and reads to the end.
func call(t *testing.T, conn grpc.ClientConnInterface, method protoreflect.MethodDescriptor) error {
	t.Helper()
	full := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(valid(t, method.Input(), 0)) // an error is told by receiving
	_ = stream.CloseSend()
	for {
		if err := stream.RecvMsg(message(t, method.Output())); err != nil {
			return err
		}
	}
}

func message(t *testing.T, desc protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	m, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return m.New().Interface()
}

// valid fills a message so that it passes its rules: a letter in every string, a 1 in every enumeration, the first
// choice of every oneof.
func valid(t *testing.T, desc protoreflect.MessageDescriptor, depth int) proto.Message {
	t.Helper()
	m := message(t, desc)
	r := m.ProtoReflect()
	for i := range desc.Fields().Len() {
		f := desc.Fields().Get(i)
		if o := f.ContainingOneof(); f.IsMap() || o != nil && !o.IsSynthetic() && o.Fields().Get(0) != f || depth > 3 {
			continue
		}
		value, ok := sample(t, f, depth)
		switch {
		case !ok:
		case f.IsList():
			r.Mutable(f).List().Append(value)
		default:
			r.Set(f, value)
		}
	}
	return m
}

func sample(t *testing.T, f protoreflect.FieldDescriptor, depth int) (protoreflect.Value, bool) {
	switch {
	case f.Kind() == protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(valid(t, f.Message(), depth+1).ProtoReflect()), true
	case f.Kind() == protoreflect.EnumKind && !f.HasOptionalKeyword():
		return protoreflect.ValueOfEnum(1), true
	case f.Kind() == protoreflect.StringKind:
		switch f.Name() {
		case "finish_reason":
			return protoreflect.ValueOfString("stop"), true
		case "page_token", "metadata_schema", "payload_json", "static_payload", "extra_json", "tokenizer_parameters", "tokenizer", "language_code", "condition":
			return protoreflect.Value{}, false
		}
		return protoreflect.ValueOfString("x"), true
	case f.Kind() == protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(0.5), true
	case f.Kind() == protoreflect.Uint32Kind && !f.IsList():
		return protoreflect.ValueOfUint32(1), true
	}
	return protoreflect.Value{}, false
}
