package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dbslm/gateway/edge"
)

// pipes is a listener of connections without buffers, so that a client that reads nothing stops the server at once.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A client that sends its header or body in drops, or takes no answer, is left after the patience, and its place is free again.
// Whatever else comes over a connection is answered with an error or with an end; the door goes on.
func TestSlowAndOddConnections(t *testing.T) {
	const patience = 300 * time.Millisecond
	lis := pipes{make(chan net.Conn), make(chan struct{})}
	peer := system(t).Conn()
	door := edge.New(peer, edge.Options{MaxRequests: 1, Patience: patience, DrainTimeout: 100 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- door.Serve(ctx, lis) }()
	defer func() {
		stop()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}()
	open := func() net.Conn {
		t.Helper()
		here, there := net.Pipe()
		t.Cleanup(func() { _ = here.Close() })
		_ = here.SetDeadline(time.Now().Add(20 * time.Second))
		lis.conns <- there
		return here
	}
	// talk sends a request, a piece at a time, and returns the answer; 0 for a connection that was ended without one.
	talk := func(pause time.Duration, pieces ...string) (int, string) {
		t.Helper()
		conn := open()
		go func() {
			for _, piece := range pieces {
				if _, err := io.WriteString(conn, piece); err != nil {
					return // it was ended
				}
				time.Sleep(pause)
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, ""
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	const get = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
	serves := func(after string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			status, body := talk(0, get+"\r\n")
			if status == http.StatusOK {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("after %s: %d %s", after, status, body)
			}
		}
	}
	serves("the start")

	post := "POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
	payload := `{"model": "default", "input": "The lamp."}`
	whole := fmt.Sprint(post, len(payload), "\r\n\r\n")
	if status, body := talk(50*time.Millisecond, whole, payload[:10], payload[10:20], payload[20:]); status != http.StatusOK {
		t.Errorf("a body with pauses: %d %s", status, body)
	}
	begun := time.Now()
	if status, body := talk(patience/6, append([]string{post + "1000\r\n\r\n"}, strings.Split(strings.Repeat(" ", 1000), "")...)...); status != http.StatusRequestTimeout || in(t, body, "error", "code") != "body_too_slow" {
		t.Errorf("a body in drops: %d %s", status, body)
	}
	if took := time.Since(begun); took > 10*patience {
		t.Errorf("a body in drops was read for %v", took)
	}
	serves("a body in drops")
	begun = time.Now()
	if status, _ := talk(patience/6, strings.Split(get+strings.Repeat("X-A: b\r\n", 100), "")...); status == http.StatusOK || time.Since(begun) > 10*patience {
		t.Errorf("a header in drops: %d after %v", status, time.Since(begun))
	}
	serves("a header in drops")

	// Nobody reads the answer, be it one piece or a stream; the connection stays open on the client's side.
	for name, request := range map[string]string{
		"a page":   "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a reply":  whole + payload,
		"a stream": streaming(`{"model": "default", "prompt": "The lamp", "stream": true}`),
	} {
		conn := open()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * patience)
		if n, err := io.Copy(io.Discard, conn); err != nil || n > 0 {
			t.Errorf("%s: the connection was kept, %d bytes came, %v", name, n, err)
		}
		serves(name + " that nobody reads")
	}

	for name, c := range map[string]struct {
		request string
		status  int // 0: the connection is ended
	}{
		"two ways to end a body":   {post + "5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n", 400},
		"an unknown coding":        {"POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		"a coding in disguise":     {"POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
		"chunks of no size":        {"POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
		"a negative length":        {post + "-1\r\n\r\n", 400},
		"a length with a sign":     {post + "+2\r\n\r\n{}", 400},
		"a huge length":            {post + "99999999999\r\n\r\n", 413},
		"a length beyond 64 bits":  {post + "99999999999999999999\r\n\r\n", 400},
		"two hosts":                {"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		"a host with a path":       {"GET /v1/models HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400},
		"another host in the path": {"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
		"a proxied connection":     {"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
		"all of it":                {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
		"another version":          {"GET /v1/models HTTP/3.7\r\nHost: localhost\r\n\r\n", 505},
		"the old version":          {"GET /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n", 200},
		"HTTP/2 without asking":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421},
		"an upgrade":               {get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", 200},
		"no HTTP":                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		"a NUL in a header":        {get + "X-A: \x00\r\n\r\n", 400},
		"a line break in a path":   {"GET /v1/mod\nels HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		"a long path":              {"GET /" + strings.Repeat("x", 80<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		"many headers":             {get + strings.Repeat("X-A: b\r\n", 20_000) + "\r\n", 431},
		"garbage behind":           {get + "\r\n\x00\x01garbage\r\n\r\n", 200},
	} {
		status, body := talk(0, c.request+"\r\n")
		if status != c.status {
			t.Errorf("%s: %d %.200s, want %d", name, status, body, c.status)
		}
		if strings.Contains(body, "goroutine") {
			t.Errorf("%s: %s", name, body)
		}
		serves(name)
	}
}

func streaming(payload string) string {
	return fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(payload), payload)
}
