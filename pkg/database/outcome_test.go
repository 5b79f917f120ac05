package database_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

// cutter passes a server's socket on until a client's packet contains the word; then it closes that connection, before or
// after the server has had the packet.
type cutter struct {
	mu      sync.Mutex
	word    string
	forward bool // the server still gets the packet
	cuts    int
}

func (c *cutter) set(word string, forward bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.word, c.forward, c.cuts = word, forward, 0
}

// due reports whether packet is to be cut; only the first one is.
func (c *cutter) due(packet []byte) (cut, forward bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts > 0 || c.word == "" || !bytes.Contains(packet, []byte(c.word)) {
		return false, true
	}
	c.cuts++
	return true, c.forward
}

func (c *cutter) listen(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.pass(client, to) })
		}
	})
	return path
}

func (c *cutter) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			_ = server.Close()
			return
		}
		cut, forward := c.due(buf[:n])
		if cut {
			_ = client.Close()
		}
		if forward {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if cut {
			_ = server.(*net.UnixConn).CloseWrite() // the server finishes what it has, then sees the end
			return
		}
	}
}

func TestConnectionLostAroundCommit(t *testing.T) {
	ctx := context.Background()
	direct := databasetest.MySQLTarget(t)
	c := &cutter{}
	path := c.listen(t, direct.ServerConfig().Addr)
	db := databasetest.Open(t, target(t, "mysql://root@unix("+path+")/").WithPrefix(direct.Prefix()), testSchema(), database.Options{})

	for _, s := range []struct {
		name    string
		word    string
		forward bool
		kind    errors.Kind
		lost    bool
		runs    int
	}{
		{"the statement never arrives: run again", "INSERT INTO tbl_tokens", false, 0, false, 2},
		{"the statement's answer is lost: run again", "INSERT INTO tbl_tokens", true, 0, false, 2},
		{"COMMIT never arrives: unknown", "COMMIT", false, errors.Unavailable, true, 1},
		{"COMMIT's answer is lost: unknown", "COMMIT", true, errors.Unavailable, true, 1},
	} {
		t.Run(s.name, func(t *testing.T) {
			if _, err := db.Exec(ctx, "DELETE FROM tbl_tokens"); err != nil {
				t.Fatal(err)
			}
			c.set(s.word, s.forward)
			runs := 0
			err := db.InTx(ctx, func(tx *database.Tx) error {
				runs++
				return insertToken(ctx, tx, 1, "a")
			})
			c.set("", true)
			if runs != s.runs {
				t.Errorf("%d runs, want %d", runs, s.runs)
			}
			if s.lost {
				wantError(t, err, errors.Unavailable, "unknown")
			} else if err != nil {
				t.Error(err)
			}
			want := 1
			if s.lost && !s.forward {
				want = 0
			}
			waitFor(t, "the server to finish", func() bool { return countTokens(t, db) == want })
		})
	}
}
