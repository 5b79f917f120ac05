package edge

import (
	"encoding/json"
	"net/http"
)

// events is an answer sent piece by piece, as server-sent events. Nothing is written before the first, so that what fails
// earlier has a status of HTTP.
type events struct {
	w     http.ResponseWriter
	begun bool
}

// send sends one event; an error says that the client is gone or does not read.
func (s *events) send(event any) error {
	raw, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return s.line(raw)
}

func (s *events) line(data []byte) error {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		s.w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
		s.w.WriteHeader(http.StatusOK)
	}
	if _, err := s.w.Write(append(append([]byte("data: "), data...), "\n\n"...)); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// end ends the answer: with the mark of OpenAI's API, or with an error, which is an event once others were sent.
func (s *events) end(err error) {
	switch {
	case err == nil:
		_ = s.line([]byte("[DONE]"))
	case !s.begun:
		refuse(s.w, err)
	default:
		_ = s.send(map[string]any{"error": problemOf(err)})
	}
}
