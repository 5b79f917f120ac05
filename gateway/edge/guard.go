package edge

import (
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	"dbslm/pkg/telemetry"

	"golang.org/x/net/netutil"
)

const requestIDHeader = "X-Request-Id"

// Handler answers requests, guarded. There is no authentication yet, so what a page of another site could do through a
// visitor's browser is refused: a Host that is a foreign name (rebinding), and an Origin that is not this door. No answer
// carries a CORS header.
func (e *Edge) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		id := rpc.RequestID(r.Header.Get(requestIDHeader))
		r = r.WithContext(telemetry.WithRequestID(r.Context(), id))
		out := &writer{ResponseWriter: w, patience: e.options.Patience}
		header := out.Header()
		header.Set(requestIDHeader, id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		found, handle, err := e.admit(r, header)
		e.observe.running.Inc()
		defer func() {
			e.observe.running.Dec()
			e.observe.answered(r, found.name, out.status, time.Since(begun), recover())
		}()
		if err != nil {
			out.refusing(r)
			refuse(out, err)
			return
		}
		defer func() { <-e.places }()
		r.Body = &body{ReadCloser: http.MaxBytesReader(out, r.Body, e.limitOf(found)), control: http.NewResponseController(w), patience: e.options.Patience, stream: streams(r.URL.Path)}
		defer func() {
			if p := recover(); p != nil {
				if !out.wrote {
					refuse(out, errors.New(errors.Internal, "PANIC", "something went wrong inside; the log tells more under %s", id))
				}
				panic(p) // told to the observer above
			}
		}()
		handle(out, r)
	})
}

// limitOf is how large a body may be. A stream of messages may be long; each of them is bounded where it is read.
func (e *Edge) limitOf(found route) int64 {
	if found.name == "rpc" {
		return 1 << 40
	}
	return e.options.MaxBody
}

// admit finds what answers a request, or why it is refused. Of an admitted request a place is held.
func (e *Edge) admit(r *http.Request, header http.Header) (found route, handle http.HandlerFunc, err error) {
	found.name = "none"
	if err := e.sameSite(r); err != nil {
		return found, nil, err
	}
	known, ok := route{}, false
	if r.URL.RawPath == "" || r.URL.RawPath == r.URL.Path { // nothing is written in two ways
		known, ok = e.find(r.URL.Path)
	}
	if !ok {
		return found, nil, errors.New(errors.NotFound, "UNKNOWN_URL", "there is nothing at this path; see docs/http.md for what there is")
	}
	found = known
	if handle = found.methods[r.Method]; handle == nil {
		var allowed []string
		for method := range found.methods {
			allowed = append(allowed, method)
		}
		slices.Sort(allowed)
		header.Set("Allow", strings.Join(allowed, ", "))
		return found, nil, errors.New(errors.InvalidArgument, "METHOD_NOT_ALLOWED", "the method is not allowed here; use %s", strings.Join(allowed, " or "))
	}
	if r.Method == http.MethodPost {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return found, nil, errors.New(errors.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "the body must be JSON, with the header Content-Type: application/json")
		}
		if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
			return found, nil, errors.New(errors.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "the body must not be compressed")
		}
		if found.name != "rpc" && r.ContentLength > e.options.MaxBody {
			return found, nil, tooLarge(e.options.MaxBody)
		}
	}
	select {
	case e.places <- struct{}{}:
		return found, handle, nil
	default:
		return found, nil, errors.New(errors.ResourceExhausted, "TOO_MANY_REQUESTS",
			"%d requests are being answered, and there is no place for more; try again", cap(e.places)).RetryAfter(time.Second)
	}
}

func tooLarge(limit int64) error {
	return errors.New(errors.InvalidArgument, "BODY_TOO_LARGE", "the body has more than %d bytes; send less at a time", limit)
}

// sameSite refuses requests that a page of another site had a browser make.
func (e *Edge) sameSite(r *http.Request) error {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	_, notAddress := netip.ParseAddr(name)
	if allowed := func(host string) bool { return strings.EqualFold(host, name) }; notAddress != nil && name != "localhost" && !slices.ContainsFunc(e.options.Hosts, allowed) {
		return errors.New(errors.PermissionDenied, "UNKNOWN_HOST", "this server does not answer under the name in the Host header; start it with --http-host and that name")
	}
	foreign := errors.New(errors.PermissionDenied, "FOREIGN_ORIGIN", "pages of other sites may not ask here")
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		origin, err := url.Parse(origins[0])
		if err != nil || len(origins) > 1 || !strings.EqualFold(origin.Host, r.Host) || origin.Host == "" {
			return foreign
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" && !visits(r) {
		return foreign
	}
	return nil
}

func limited(lis net.Listener, connections int) net.Listener {
	return netutil.LimitListener(lis, connections)
}

// writer notes what was answered, and gives up on a client that does not take it.
type writer struct {
	http.ResponseWriter
	patience time.Duration
	status   int
	wrote    bool
}

// Unwrap lets http.ResponseController find what it needs.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if !w.wrote {
		w.wrote, w.status = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. The time begins anew with each piece.
func (w *writer) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.patience)) // recorders have none
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// refusing ends the connection of a request whose body was not wanted, instead of reading it to the end.
func (w *writer) refusing(r *http.Request) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
}

// leastRate is how many bytes of a body must come in a second of waiting for them, once the patience is used up: a client that
// sends a byte now and then would hold its place for days. A stream of messages may pause, each time for the patience.
const leastRate = 1 << 10

// body is a request's body that must keep coming.
type body struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	waited   time.Duration // for all that came; what the server does in between is not the client's slowness
	came     int64
	stream   bool // of messages
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	begun := time.Now()
	left := b.patience
	if !b.stream {
		left += time.Duration(b.came)*(time.Second/leastRate) - b.waited // divided first: many gigabytes times a second would overflow
	}
	_ = b.control.SetReadDeadline(begun.Add(min(b.patience, left)))
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(begun)
	b.came += int64(n)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, tooLarge(large.Limit)
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return n, errors.New(errors.DeadlineExceeded, "BODY_TOO_SLOW", "the body came slower than %d bytes a second, or not at all for %v; send it without pausing", leastRate, b.patience)
	}
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{}) // what follows waits for the next request
	}
	return n, err
}
