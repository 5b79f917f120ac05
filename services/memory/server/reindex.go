package server

import "time"

// reindex files the messages of before under the words of today, until it is done or Close. It rests as long as it works, so that those who talk
// do not wait for it.
func (s *Service) reindex() {
	rest := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-s.lifetime.Done():
			return s.lifetime.Err()
		case <-timer.C:
			return nil
		}
	}
	for {
		if rest(s.retentionLook) != nil { // the tables may not be there yet
			return
		}
		began := time.Now()
		messages, err := s.store.Reindex(s.lifetime, func(int64) error {
			err := rest(time.Since(began))
			began = time.Now()
			return err
		})
		switch {
		case s.lifetime.Err() != nil:
			return
		case err == nil:
			if messages > 0 {
				s.logger.InfoContext(s.lifetime, "all messages are found by the words of their languages", "messages", messages)
			}
			return
		}
		s.logger.WarnContext(s.lifetime, "filing messages under their words stopped; the next attempt goes on", "error", err)
	}
}
