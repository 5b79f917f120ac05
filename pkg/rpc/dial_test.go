package rpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		addr, target string
		local        bool
	}{
		{"127.0.0.1:7070", "dns:///127.0.0.1:7070", true},
		{"localhost:7070", "dns:///localhost:7070", true},
		{"[::1]:7070", "dns:///[::1]:7070", true},
		{"memory:7072", "dns:///memory:7072", false},
		{"10.0.0.7:1", "dns:///10.0.0.7:1", false},
		{"dns:///memory:7072", "dns:///memory:7072", false},
		{"passthrough:///127.0.0.1:1", "passthrough:///127.0.0.1:1", true},
		{"unix:///run/dbslm.sock", "unix:/run/dbslm.sock", true},
		{"unix:dbslm.sock", "unix:dbslm.sock", true},
		{"", "", false},
		{"memory", "", false},
		{":7070", "", false},
		{"memory:", "", false},
		{"unix:", "", false},
		{"unix://", "", false},
		{"http://memory:7070", "", false},
		{"dns://8.8.8.8/memory:7070", "", false},
		{"a b:1:2", "", false},
	}
	for _, test := range tests {
		target, local, err := parseAddress(test.addr)
		if target != test.target || local != test.local || (err != nil) != (test.target == "") {
			t.Errorf("parseAddress(%q) = %q, %v, %v", test.addr, target, local, err)
		}
		if err != nil && errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("parseAddress(%q): %v", test.addr, err)
		}
	}
}

func TestPlaintextStaysOnThisMachine(t *testing.T) {
	if _, err := Dial("memory:7072", Options{}); errors.ReasonOf(err) != "PLAINTEXT_REFUSED" {
		t.Errorf("got %v", err)
	}
	conn, err := Dial("memory:7072", Options{AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestOnlyRepeatableMethodsAreRetried(t *testing.T) {
	var attempts atomic.Int32
	e := &echo{unary: func(context.Context, string) (string, error) {
		if attempts.Add(1) < 4 {
			return "", errors.New(errors.Unavailable, "BUSY", "busy")
		}
		return "at last", nil
	}}
	everyPeer(t, Options{}, e, func(t *testing.T, r *running) {
		attempts.Store(0)
		if got, err := call(t.Context(), r.conn, readMethod, "x"); got != "at last" || err != nil || attempts.Load() != 4 {
			t.Errorf("Read: %q, %v after %d attempts", got, err, attempts.Load())
		}
		attempts.Store(0)
		if _, err := call(t.Context(), r.conn, writeMethod, "x"); errors.ReasonOf(err) != "BUSY" || attempts.Load() != 1 {
			t.Errorf("Write: %v after %d attempts", err, attempts.Load())
		}
	})
}

func TestServiceConfig(t *testing.T) {
	echoMessage()
	var names []string
	for _, m := range repeatableMethods(protoregistry.GlobalFiles) {
		if m.Parent().FullName() == echoName {
			names = append(names, string(m.Name()))
		}
	}
	if diff := cmp.Diff([]string{"Read"}, names); diff != "" {
		t.Errorf("repeatable methods (-want +got):\n%s", diff)
	}
	if !json.Valid([]byte(serviceConfig())) {
		t.Errorf("not JSON: %s", serviceConfig())
	}
	if methods := repeatableMethods(new(protoregistry.Files)); len(methods) != 0 {
		t.Errorf("an empty registry has %v", methods)
	}
}

func TestPeerThatIsDown(t *testing.T) {
	addr := freeAddress(t)
	conn, err := Dial(addr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = read(t.Context(), conn, "x")
	got, _ := errors.AsType[*errors.Error](err)
	if got == nil || got.Kind() != errors.Unavailable || got.Reason() != "PEER_UNAVAILABLE" || got.Metadata()["service"] != "echo" {
		t.Fatalf("got %v", err)
	}
	if want := "the echo service does not answer; check that it runs, then try again"; got.Public() != want {
		t.Errorf("says %q, want %q", got.Public(), want)
	}

	// It comes back, and the connection notices by itself.
	lis, err := Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	shutdown := start(NewServer(Options{}, &echo{}), lis)
	defer func() { _ = shutdown() }()
	eventually(t, "the peer answers", func() bool {
		_, err := read(t.Context(), conn, "x")
		return err == nil
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

func TestTLS(t *testing.T) {
	certificate, roots := selfSigned(t)
	lis, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(Options{ServerTLS: &tls.Config{Certificates: []tls.Certificate{certificate}}}, &echo{})
	shutdown := start(server, lis)
	defer func() { _ = shutdown() }()

	secure, err := Dial(lis.Addr().String(), Options{PeerTLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	if got, err := read(t.Context(), secure, "x"); got != "x" || err != nil {
		t.Errorf("with TLS: %q, %v", got, err)
	}
	if got, err := read(t.Context(), server.Local(), "x"); got != "x" || err != nil {
		t.Errorf("in memory: %q, %v", got, err)
	}
	plain, err := Dial(lis.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := call(t.Context(), plain, writeMethod, "x"); errors.KindOf(err) != errors.Unavailable {
		t.Errorf("without TLS: %v", err)
	}
}

// Certificates come from files, which may be renewed while the server runs.
func TestTLSFromFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	renew := func() {
		certificate, _ := selfSigned(t)
		private, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for path, block := range map[string]*pem.Block{
			cert: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, ca: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
			key: {Type: "PRIVATE KEY", Bytes: private},
		} {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := ServerTLS(cert, key); errors.KindOf(err) != errors.InvalidArgument {
		t.Errorf("without files: %v", err)
	}
	renew()
	config, err := ServerTLS(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shutdown := start(NewServer(Options{ServerTLS: config}, &echo{}), lis)
	defer func() { _ = shutdown() }()
	for range 2 {
		trust, err := PeerTLS(ca)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := Dial(lis.Addr().String(), Options{PeerTLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context(), conn, "x"); got != "x" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		_ = conn.Close()
		renew()
	}
	if _, err := PeerTLS(key); errors.KindOf(err) != errors.InvalidArgument {
		t.Errorf("authorities from a key: %v", err)
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestListenOnUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := Listen(t.Context(), "unix://"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix://"+path); errors.ReasonOf(err) != "CANNOT_LISTEN" {
		t.Errorf("a socket in use: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as if the process had been killed
	_ = first.Close()
	second, err := Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatalf("a socket left behind: %v", err)
	}
	_ = second.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix://"+path); errors.ReasonOf(err) != "CANNOT_LISTEN" {
		t.Errorf("a file: %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Errorf("the file has %q, %v", content, err)
	}
	if _, err := Listen(t.Context(), "127.0.0.1:notaport"); errors.ReasonOf(err) != "CANNOT_LISTEN" {
		t.Errorf("no port: %v", err)
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		child, stop, err := Budget(ctx, 100*time.Millisecond, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		if deadline, ok := child.Deadline(); !ok || time.Until(deadline) != 900*time.Millisecond {
			t.Errorf("%v are left", time.Until(deadline))
		}
		time.Sleep(850 * time.Millisecond) // exactly the floor
		if _, stop, err := Budget(ctx, 100*time.Millisecond, 50*time.Millisecond); err != nil {
			t.Errorf("at the floor: %v", err)
		} else {
			stop()
		}
		time.Sleep(time.Millisecond)
		_, stop, err = Budget(ctx, 100*time.Millisecond, 50*time.Millisecond)
		stop()
		if want := "149ms are left for this call, which needs at least 150ms; allow it more time"; errors.KindOf(err) != errors.DeadlineExceeded || errors.Public(err) != want {
			t.Errorf("under the floor: %v", err)
		}
		time.Sleep(time.Second)
		if _, _, err := Budget(ctx, 0, 0); errors.KindOf(err) != errors.DeadlineExceeded {
			t.Errorf("too late: %v", err)
		}
		free, stop, err := Budget(t.Context(), time.Second, time.Second)
		if _, ok := free.Deadline(); ok || err != nil {
			t.Errorf("without a deadline: %v", err)
		}
		stop()
		if free.Err() == nil {
			t.Error("cancel does nothing")
		}
	})
}

func TestOptionsAreValidated(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	for i, o := range []Options{
		{UnaryTimeout: -1},
		{StreamTimeout: -1},
		{Headroom: -1},
		{Floor: -1},
		{HealthInterval: -1},
		{DrainTimeout: -1},
		{MaxRecvBytes: -1},
		{MaxSendBytes: -1},
		{MaxConns: -1},
		{UnaryTimeout: time.Millisecond},
	} {
		if err := o.Validate(); errors.ReasonOf(err) != "BAD_RPC_OPTION" {
			t.Errorf("%d: %v", i, err)
		}
	}
	want := map[string]any{"recv": 8 << 20, "send": 16 << 20, "unary": 30 * time.Second, "drain": 10 * time.Second, "health": 2 * time.Second}
	o := Options{}.withDefaults()
	got := map[string]any{"recv": o.MaxRecvBytes, "send": o.MaxSendBytes, "unary": o.UnaryTimeout, "drain": o.DrainTimeout, "health": o.HealthInterval}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
