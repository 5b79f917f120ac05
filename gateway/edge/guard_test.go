package edge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// timed notes until when the next bytes may come.
type timed struct {
	http.ResponseWriter
	until time.Time
}

func (t *timed) SetReadDeadline(until time.Time) error { t.until = until; return nil }

// A stream may bring many gigabytes: what came never counts against it.
func TestBodyOfManyGigabytes(t *testing.T) {
	for _, came := range []int64{0, 1 << 30, 10 << 30, 1 << 40} {
		w := &timed{ResponseWriter: httptest.NewRecorder()}
		b := &body{ReadCloser: io.NopCloser(strings.NewReader("x")), control: http.NewResponseController(w), patience: time.Minute, came: came}
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(w.until); left < 50*time.Second || left > time.Minute {
			t.Errorf("after %d bytes %v are left for the next", came, left)
		}
	}
}

// A stream of messages may pause again and again, each time for the patience; one message may not.
func TestStreamsMayPause(t *testing.T) {
	for path, want := range map[string]bool{
		"/dbslm.gateway.v1.GatewayService/Train":   true,
		"/dbslm.gateway.v1.GatewayService/Respond": false,
		"/dbslm.gateway.v1.GatewayService/Erase":   false, // only its answers are a stream
		"/dbslm.gateway.v1.GatewayService/Nothing": false,
		"/dbslm.gateway.v1.GatewayService":         false,
		"/v1/chat/completions":                     false,
	} {
		if streams(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	for _, stream := range []bool{true, false} {
		w := &timed{ResponseWriter: httptest.NewRecorder()}
		b := &body{
			ReadCloser: io.NopCloser(strings.NewReader("x")), control: http.NewResponseController(w), patience: time.Minute, stream: stream, waited: 50 * time.Second,
		}
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(w.until); stream != (left > 50*time.Second) {
			t.Errorf("after waiting for 50 s, a stream %v, %v are left", stream, left)
		}
	}
}
