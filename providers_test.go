package dbslm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// answer is what a payload provider does. Its bytes have the wire form of ProvidePayloadResponse, but need not be text.
type answer func(context.Context) ([]byte, error)

var providersMade atomic.Int32

// provider serves one payload provider on a port of its own, as users do: a plain gRPC server without our interceptors.
func provider(t *testing.T, a answer, options ...grpc.ServerOption) (address string, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: conceptv1.PayloadProviderService_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "ProvidePayload",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				calls.Add(1)
				if err := decode(&conceptv1.ProvidePayloadRequest{}); err != nil {
					return nil, err
				}
				payload, err := a(ctx)
				return wrapperspb.Bytes(payload), err
			},
		}},
	}, nil)
	// An address of its own: the gateway remembers a dead one for a while, and the system may give its port again.
	n := providersMade.Add(1)
	lis, err := net.Listen("tcp", fmt.Sprintf("127.1.%d.%d:0", n/250, n%250+1))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String(), calls
}

func says(payload string) answer {
	return func(context.Context) ([]byte, error) { return []byte(payload), nil }
}

// tide is a concept whose hour comes from a provider.
func (w *world) tide(t *testing.T, name, address string) {
	t.Helper()
	_, err := w.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{
		Name: name, MetadataSchema: `{"hour": "string"}`, ProviderAddress: address,
	}})
	if err == nil {
		_, err = w.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{
			Concept: name, Text: name + " turns at {hour}.",
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) signalFor(t *testing.T, conversation, concept string, score float64) string {
	t.Helper()
	resp, err := w.signals.PushSignal(t.Context(), &conceptv1.PushSignalRequest{
		RequestId: conversation, ConversationId: conversation, Concept: concept, Score: score, Ttl: durationpb.New(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Signal.SignalId
}

// However a provider misbehaves, the turn answers in bounded time, says what the provider failed at, and keeps the signal
// for a later turn.
func testMisbehavingProviders(t *testing.T, w *world) {
	slow := func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	refuse := func(code codes.Code, text string) answer {
		return func(context.Context) ([]byte, error) { return nil, status.Error(code, text) }
	}
	huge := 100 << 20
	if raceDetector {
		huge >>= 4
	}
	tests := []struct {
		name   string
		answer answer // nil: nobody listens
		code   string // of the degradation, or one of them; empty when the answer was read, but cannot be said
	}{
		{"slow", slow, "DEADLINE_EXCEEDED"},
		{"dead", nil, "UNAVAILABLE"},
		{"not JSON", says("six o'clock"), "INVALID_ARGUMENT"},
		{"no object", says(`["six"]`), "INVALID_ARGUMENT"},
		{"null", says("null"), "INVALID_ARGUMENT"},
		{"nothing", says(""), "INVALID_ARGUMENT"},
		{"two objects", says(`{"hour":"six"}{}`), "INVALID_ARGUMENT"},
		{"not UTF-8", says("{\"hour\":\"\xff\"}"), "INTERNAL"},
		{"100 MB", says(`{"hour":"` + strings.Repeat("6", huge) + `"}`), "RESOURCE_EXHAUSTED or, where the machine is slow, DEADLINE_EXCEEDED"},
		{"just too large", says(`{"hour":"` + strings.Repeat("6", 256<<10) + `"}`), "RESOURCE_EXHAUSTED"},
		{"long complaint", refuse(codes.FailedPrecondition, strings.Repeat("no ", 3000)), "FAILED_PRECONDITION"},
		{"unimplemented", refuse(codes.Unimplemented, "later"), "UNIMPLEMENTED"},
		{"blames the caller", refuse(codes.InvalidArgument, "bad"), "INVALID_ARGUMENT"},
		{"wrong type", says(`{"hour":{"of":"day"}}`), ""},
		{"wrong slot", says(`{"minute":"six"}`), ""},
		{"empty value", says(`{"hour":" "}`), ""},
		{"a value too long to say", says(`{"hour":"` + strings.Repeat("6", 200<<10) + `"}`), ""},
		{"deeply nested", says(`{"hour":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`), "INVALID_ARGUMENT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := "127.0.0.1:1" // where nobody listens
			if test.answer != nil {
				address, _ = provider(t, test.answer)
			}
			w.tide(t, "Tide", address)
			conversation := start(t, w)
			id := w.signalFor(t, conversation, "Tide", 1)
			begun := time.Now()
			a := try(t.Context(), w, ask(conversation, "1", "Tell me about the boats."))
			if took := time.Since(begun); a.err != nil || a.text == "" || strings.Contains(a.text, "turns") || took > 6*time.Second {
				t.Fatalf("answered %v after %v", a, took)
			}
			degradations := a.finished.Trace.Degradations
			if test.code == "" && len(degradations) != 0 {
				t.Errorf("degraded: %v", degradations)
			}
			if test.code != "" && (len(degradations) != 1 || degradations[0].Service != "provider" || !strings.Contains(test.code, degradations[0].Code)) {
				t.Errorf("degraded: %v, want provider %s", degradations, test.code)
			}
			address, _ = provider(t, says(`{"hour":"six"}`)) // the provider is mended
			w.tide(t, "Tide", address)
			b := try(t.Context(), w, ask(conversation, "2", "And now?"))
			if b.err != nil || b.text != "Tide turns at six." || b.finished.Trace.Segments[0].Provided.GetPayloadJson() != `{"hour":"six"}` {
				t.Errorf("after it was mended: %v", b)
			}
			if got := w.signal(t, conversation, id); got.State != conceptv1.Signal_STATE_CONFIRMED {
				t.Errorf("the signal is %v", got)
			}
		})
	}
}

// What a provider answers is said as it is, never read as a template; one that is restarting is asked again within the turn; and
// one that speaks TLS where none is configured is as good as dead.
func testHonestProviders(t *testing.T, w *world) {
	conversation := start(t, w)
	odd := `{secret} {{x}} {hour|upper} <b onclick="x()">six</b>`
	quoted, err := json.Marshal(map[string]string{"hour": odd})
	if err != nil {
		t.Fatal(err)
	}
	address, _ := provider(t, says(string(quoted)))
	w.tide(t, "Tide", address)
	w.signalFor(t, conversation, "Tide", 1)
	if a := try(t.Context(), w, ask(conversation, "1", "Tell me.")); a.err != nil || a.text != "Tide turns at "+odd+"." {
		t.Errorf("got %v", a)
	}

	var tries atomic.Int32
	address, calls := provider(t, func(context.Context) ([]byte, error) {
		if tries.Add(1) < 3 {
			return nil, status.Error(codes.Unavailable, "restarting")
		}
		return []byte(`{"hour":"six"}`), nil
	})
	w.tide(t, "Tide", address)
	conversation = start(t, w)
	w.signalFor(t, conversation, "Tide", 1)
	a := try(t.Context(), w, ask(conversation, "2", "Tell me."))
	if a.err != nil || a.text != "Tide turns at six." || calls.Load() != 3 || len(a.finished.Trace.Degradations) != 0 {
		t.Errorf("after %d calls got %v", calls.Load(), a)
	}

	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	w.tide(t, "Tide", server.Listener.Addr().String())
	conversation = start(t, w)
	w.signalFor(t, conversation, "Tide", 1)
	a = try(t.Context(), w, ask(conversation, "3", "Tell me."))
	if a.err != nil || a.text == "" || strings.Contains(a.text, "turns") {
		t.Fatalf("over TLS got %v", a)
	}
	if d := a.finished.Trace.Degradations; len(d) != 1 || d[0].Service != "provider" || d[0].Code != "UNAVAILABLE" {
		t.Errorf("over TLS degraded: %v", d)
	}
}

// Providers that fail do not keep a concept with a working one from speaking, and none is asked twice in a turn.
func testSeveralProviders(t *testing.T, w *world) {
	conversation := start(t, w)
	var asked []*atomic.Int32
	for i, test := range []struct {
		concept string
		answer  answer
	}{
		{"Ebb", says("nonsense")}, {"Flood", says("{}")}, {"Tide", says(`{"hour":"six"}`)},
	} {
		address, calls := provider(t, test.answer)
		asked = append(asked, calls)
		w.tide(t, test.concept, address)
		if _, err := w.PushSignal(t.Context(), &gatewayv1.PushSignalRequest{
			RequestId: test.concept, ConversationId: conversation, Concept: test.concept, Score: float64(9 - i),
		}); err != nil {
			t.Fatal(err)
		}
	}
	a := try(t.Context(), w, ask(conversation, "1", "Tell me about the boats."))
	if a.err != nil || a.text != "Tide turns at six." {
		t.Errorf("got %v", a)
	}
	for i, calls := range asked {
		if calls.Load() != 1 {
			t.Errorf("provider %d was asked %d times", i, calls.Load())
		}
	}
}

// A request id belongs to one signal: using it for another is told, not answered with the first one.
func testSignalRequestIDIsNotReused(t *testing.T, w *world) {
	push := func(conversation, hour string) (*gatewayv1.PushSignalResponse, error) {
		return w.PushSignal(t.Context(), &gatewayv1.PushSignalRequest{
			RequestId: "one", ConversationId: conversation, Concept: "Notice", PayloadJson: `{"hour":"` + hour + `"}`,
		})
	}
	here, there := start(t, w), start(t, w)
	first, err := push(here, "six")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := push(here, "six"); err != nil || again.SignalId != first.SignalId {
		t.Errorf("repeated: %v, %v", again, err)
	}
	for _, other := range [][2]string{{there, "six"}, {here, "seven"}} {
		if _, err := push(other[0], other[1]); errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != "REQUEST_ID_REUSED" {
			t.Errorf("%v: %v", other, err)
		}
	}
	if _, err := push("0193e4a1-0000-7000-8000-000000000000", "six"); errors.ReasonOf(err) != "CONVERSATION_NOT_FOUND" {
		t.Errorf("an unknown conversation: %v", err)
	}
}

// TestProviderOverTLS: a provider whose certificate an unknown authority signed is named in the trace and gives nothing; one that the
// system's authority signed is asked.
func TestProviderOverTLS(t *testing.T) {
	trusted, roots := signedBy(t, "trusted")
	strange, _ := signedBy(t, "strange")
	sys := open(t, dbslm.Config{DB: ":memory:", PeerTLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	catalogue := conceptv1.NewCatalogueServiceClient(sys.Conn())
	for _, test := range []struct {
		name        string
		certificate tls.Certificate
		said, code  string
	}{
		{"Ebb", strange, "", "UNAVAILABLE"},
		{"Flood", trusted, "Flood turns at six.", ""},
	} {
		address, _ := provider(t, says(`{"hour":"six"}`), grpc.Creds(credentials.NewServerTLSFromCert(&test.certificate)))
		_, err := catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{
			Name: test.name, MetadataSchema: `{"hour": "string"}`, ProviderAddress: address,
		}})
		if err == nil {
			_, err = catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: test.name, Text: test.name + " turns at {hour}."}})
		}
		if err == nil {
			_, err = catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{{Concept: test.name, Utterance: "when does the " + test.name + " turn"}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		a := try(t.Context(), sys.gateway, ask(start(t, sys.gateway), test.name, "When does the "+test.name+" turn?"))
		if a.err != nil || a.text == "" || test.said != "" && a.text != test.said || test.said == "" && strings.Contains(a.text, "six") || time.Since(begun) > 6*time.Second {
			t.Errorf("%s: %v", test.name, a)
			continue
		}
		code := ""
		for _, d := range a.finished.Trace.Degradations {
			if d.Service == "provider" {
				code = d.Code
			}
		}
		if code != test.code {
			t.Errorf("%s: degraded %v, want provider %q", test.name, a.finished.Trace.Degradations, test.code)
		}
	}
}

// signedBy makes an authority with a certificate for every loopback address.
func signedBy(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	for n := range 250 {
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 1, 0, byte(n+1)), net.IPv4(127, 1, 1, byte(n+1)))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
