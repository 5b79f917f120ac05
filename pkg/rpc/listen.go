package rpc

import (
	"context"
	"net"
	"os"
	"time"

	"dbslm/pkg/errors"
)

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		dialer := net.Dialer{Timeout: time.Second}
		if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
			_ = conn.Close()
			return nil, errors.New(errors.FailedPrecondition, "CANNOT_LISTEN", "another process already listens on %s; stop it, or choose another path", path)
		}
		_ = os.Remove(path) // if this fails, the next line says why
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, errors.Wrap(err, errors.FailedPrecondition, "CANNOT_LISTEN", "cannot listen on the socket %s; does its directory exist, and may you write there?", path)
	}
	return lis, nil
}
