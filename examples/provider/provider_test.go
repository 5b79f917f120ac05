package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"dbslm"
	"dbslm/examples/provider/wall"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// A concept says what the provider knows, and is passed over where it knows nothing: in both languages.
func TestProvider(t *testing.T) {
	t.Run("Go", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		addresses, served := make(chan string, 1), make(chan error, 1)
		go func() { served <- wall.Serve(ctx, "127.0.0.1:0", func(address string) { addresses <- address }) }()
		t.Cleanup(func() {
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		ask(t, <-addresses)
	})
	t.Run("Python", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), "../../bin/clients/python3", "provider.py", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "PYTHONPATH="+compile(t))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatalf("%v (make clients installs what is needed)", err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it says that it was killed
		})
		line, err := bufio.NewReader(out).ReadString('\n')
		address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if err != nil || !ok {
			t.Fatalf("it printed %q, error %v", line, err)
		}
		ask(t, address)
	})
}

// compile makes Python of the protos of a provider and returns the folder.
func compile(t *testing.T) string {
	t.Helper()
	const bundle = "../../bin/proto-bundle"
	plugin, err := exec.LookPath("grpc_python_plugin")
	if err != nil {
		t.Fatalf("%v: make clients installs what is needed", err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "protoc", "-I", bundle, "--python_out="+dir, "--grpc_python_out="+dir, "--plugin=protoc-gen-grpc_python="+plugin,
		"dbslm/concept/v1/decision.proto", "dbslm/concept/v1/signal.proto", "buf/validate/validate.proto")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v (make clients makes %s)\n%s", err, bundle, out)
	}
	return dir
}

// ask has a bot answer with what the provider knows.
func ask(t *testing.T, address string) {
	t.Helper()
	sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	conn := sys.Conn()
	catalogue, gate := conceptv1.NewCatalogueServiceClient(conn), gatewayv1.NewGatewayServiceClient(conn)
	_, err = catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{
		Name: "WhereIs", Slots: []*conceptv1.ReadSlot{{Slot: "day", Kind: "date"}}, MetadataSchema: `{"tool": "string", "shelf": "integer", "day": "string?", "free": "boolean?", "next": "string?"}`, ProviderAddress: address,
	}})
	if err == nil {
		_, err = catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{
			Concept: "WhereIs", Text: "The {tool} hangs on shelf {shelf}{?free=false}, again from {next|weekday}{/}.",
		}})
	}
	if err == nil {
		_, err = catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{
			{Concept: "WhereIs", Utterance: "where is the saw"}, {Concept: "WhereIs", Utterance: "where do I find the hammer"}, {Concept: "WhereIs", Utterance: "where is the long saw on Monday"},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	started, err := gate.StartConversation(t.Context(), &gatewayv1.StartConversationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Where do I find the drill?":            "The drill hangs on shelf 3.",
		"Where is the long ladder on Saturday?": "The long ladder hangs on shelf 7, again from Sunday.",
		"Where is the long ladder on Friday?":   "The long ladder hangs on shelf 7.",
		"Where is the rocket?":                  `I have no words of my own yet: the language model "default" has no published build. Train it with: dbslm train PATH.`,
	} {
		resp, err := gate.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: started.Conversation.ConversationId, Text: text})
		if err != nil || resp.Message.GetContent() != want {
			t.Errorf("%q: %v, error %v", text, resp.GetMessage().GetContent(), err)
		}
	}
}
