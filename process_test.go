package dbslm_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"dbslm"
	"dbslm/gateway"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// gatewayVariable names a directory in which this test binary serves a gateway, with its socket and those of its peers; see TestMain.
const gatewayVariable = "DBSLM_TEST_GATEWAY"

var peerNames = []dbslm.Service{dbslm.Ngram, dbslm.Memory, dbslm.Concept}

func socketIn(dir string, name dbslm.Service) string {
	return "unix://" + filepath.Join(dir, string(name))
}

// gatewayHere is the process of a gateway. It serves until it is killed.
func gatewayHere(dir string) int {
	err := func() error {
		var conns []grpc.ClientConnInterface
		for _, name := range peerNames {
			conn, err := rpc.Dial(socketIn(dir, name), rpc.Options{})
			if err != nil {
				return err
			}
			conns = append(conns, conn)
		}
		gate := gateway.New(gateway.Peers{Ngram: conns[0], Memory: conns[1], Concept: conns[2]}, gateway.Options{})
		listener, err := rpc.Listen(context.Background(), socketIn(dir, "gateway"))
		if err != nil {
			return err
		}
		fmt.Println("serving")
		return rpc.NewServer(rpc.Options{}, gate).Serve(context.Background(), listener)
	}()
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// gatewayProcess is a gateway in a process of its own. Its calls go through the lines of its front, over sockets.
type gatewayProcess struct {
	front
	cmd *exec.Cmd
}

// process starts a gateway as a process of its own.
func (w *world) process(t *testing.T) *gatewayProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "dbslm") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &gatewayProcess{front: front{lines: map[dbslm.Service]*line{}}}
	for _, name := range peerNames {
		p.lines[name] = &line{ClientConnInterface: w.conns[name]}
		forward(t, filepath.Join(dir, string(name)), p.lines[name])
	}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), gatewayVariable+"="+dir)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	patience := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer patience.Stop()
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "serving\n" {
		t.Fatalf("the gateway says %q: %v", said, err)
	}
	conn, err := rpc.Dial(socketIn(dir, "gateway"), rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.conn, p.GatewayServiceClient = conn, gatewayv1.NewGatewayServiceClient(conn)
	return p
}

// kill ends the process with SIGKILL.
func (p *gatewayProcess) kill() {
	_ = p.cmd.Process.Kill() // it may have been killed
	_ = p.cmd.Wait()
}

// raw passes messages on as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = raw{}

// forward serves a peer at a socket: what comes goes on over the line, which may have it fail.
func forward(t *testing.T, socket string, l *line) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(func(_ any, from grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(from)
		return pass(from, l, method)
	}))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

// pass carries one call: one message there, and as many back as come. What the line does at a moment happens there.
func pass(from grpc.ServerStream, l *line, method string) error {
	var request []byte
	if err := from.RecvMsg(&request); err != nil {
		return err
	}
	if err := l.meet(from.Context(), method, before); err != nil {
		return err
	}
	to, err := l.ClientConnInterface.NewStream(from.Context(), &grpc.StreamDesc{ServerStreams: true}, method, grpc.ForceCodecV2(raw{}))
	if err == nil {
		err = to.SendMsg(&request)
	}
	if err == nil {
		err = to.CloseSend()
	}
	if err != nil {
		return err
	}
	for text := false; ; {
		if text {
			if err := l.meet(from.Context(), method, amid); err != nil {
				return err
			}
		}
		var response []byte
		if err := to.RecvMsg(&response); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		generated := &ngramv1.GenerateResponse{}
		streams := filepath.Base(method) == "Generate" && proto.Unmarshal(response, generated) == nil
		text = text || generated.GetChunk() != nil
		if !streams || generated.GetFinish() != nil {
			if err := l.meet(from.Context(), method, after); err != nil {
				return err
			}
		}
		if err := from.SendMsg(&response); err != nil {
			return err
		}
	}
}
