package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
)

// durability is how much the kill tests do: little by default, the whole of it with DBSLM_DURABILITY=long.
func durability() (conversations, messages, kills int) {
	if os.Getenv("DBSLM_DURABILITY") == "long" {
		return 1000, 200, 20
	}
	return 100, 12, 2
}

const writers = 64

// writerVariable makes this test binary write into the store it names until it is killed.
const writerVariable = "DBSLM_MEMORY_TEST_WRITER"

// acknowledged is a message that the store said it has.
type acknowledged struct {
	conversation, request string
	seq                   int64
}

// write lets 64 writers append messages to conversations, each repeating a request until it is acknowledged.
func write(ctx context.Context, s *Store, conversations []string, messages int, told func(acknowledged)) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range messages {
				m := memory.Message{
					ConversationID: conversations[(w*31+i*17)%len(conversations)], RequestID: fmt.Sprintf("%d-%d", w, i),
					Sender: memory.SenderUser, Content: fmt.Sprintf("message %d of writer %d", i, w), Created: noon,
				}
				for ctx.Err() == nil {
					stored, err := s.AppendMessage(ctx, "crash", m)
					if err == nil {
						told(acknowledged{stored.ConversationID, stored.RequestID, stored.Seq})
						break
					}
					time.Sleep(20 * time.Millisecond) // the server is down
				}
			}
		})
	}
	wg.Wait()
}

// TestAcknowledgedMessagesSurviveKills kills the database under 64 writers: every acknowledged message is there exactly once,
// where it was said to be, and the order of every conversation has no gap.
func TestAcknowledgedMessagesSurviveKills(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testKilledWriter(t, databasetest.SQLiteTarget(t)) })
	t.Run("mysql", func(t *testing.T) {
		server := databasetest.Start(t)
		s := open(t, databasetest.Open(t, server.Target(t), Schema, database.Options{}))
		n, messages, kills := durability()
		conversations := someConversations(t, s, n)
		var mu sync.Mutex
		var all []acknowledged
		done := make(chan struct{})
		go func() {
			defer close(done)
			write(t.Context(), s, conversations, messages, func(a acknowledged) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, a)
			})
		}()
		for i := range kills {
			wait := time.After(300 * time.Millisecond)
			select {
			case <-wait:
			case <-done:
				t.Logf("everything was written after %d kills", i)
			}
			server.Kill(t)
			server.Restart(t)
		}
		<-done
		checkAcknowledged(t, s, conversations, all, writers*messages)
	})
}

// testKilledWriter kills the process that has the embedded store open, again and again; the last one comes to the end.
func testKilledWriter(t *testing.T, target database.Target) {
	n, messages, kills := durability()
	db := databasetest.Open(t, target, Schema, database.Options{})
	conversations := someConversations(t, open(t, db), n)
	seen := map[acknowledged]bool{}
	for kill := range kills + 1 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerVariable+"="+fmt.Sprint(messages)+" "+target.String()+" "+strings.Join(conversations, ","))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for read := 0; lines.Scan(); read++ {
			var a acknowledged
			if _, err := fmt.Sscan(lines.Text(), &a.conversation, &a.request, &a.seq); err == nil {
				seen[a] = true
			}
			if kill < kills && read == writers*messages/(2*kills+2)*(kill+1) {
				_ = cmd.Process.Kill()
			}
		}
		err = cmd.Wait()
		if kill == kills && err != nil {
			t.Fatalf("the last writer: %v", err)
		}
	}
	var all []acknowledged
	for a := range seen { // who is repeated after a kill is told the same place again
		all = append(all, a)
	}
	checkAcknowledged(t, open(t, db), conversations, all, writers*messages)
}

// writeUntilKilled is the other process of testKilledWriter.
func writeUntilKilled(role string) int {
	var messages int
	var dir, names string
	if _, err := fmt.Sscan(role, &messages, &dir, &names); err != nil {
		fmt.Println(err)
		return 1
	}
	target, err := database.ParseTarget(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx := context.Background()
	db, err := database.Open(ctx, target, Schema, database.Options{MustExist: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer db.Close()
	s, err := New(db)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer s.Close()
	var mu sync.Mutex
	write(ctx, s, strings.Split(names, ","), messages, func(a acknowledged) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(a.conversation, a.request, a.seq)
	})
	return 0
}

func someConversations(t *testing.T, s *Store, n int) (ids []string) {
	t.Helper()
	for range n {
		ids = append(ids, beginAs(t, s, "crash", "ada").ID)
	}
	return ids
}

func checkAcknowledged(t *testing.T, s *Store, conversations []string, all []acknowledged, want int) {
	t.Helper()
	if len(all) != want {
		t.Errorf("%d messages were acknowledged, %d were sent", len(all), want)
	}
	stored := map[acknowledged]int{}
	total := 0
	for _, id := range conversations {
		q := MessageQuery{Tenant: "crash", ConversationID: id, Limit: 1000}
		last := int64(0)
		for {
			page, next, err := s.Messages(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page {
				if last++; m.Seq != last {
					t.Errorf("conversation %s: message %d has seq %d", id, last, m.Seq)
				}
				stored[acknowledged{id, m.RequestID, m.Seq}]++
				total++
			}
			if q.After = next; next == nil {
				break
			}
		}
	}
	for _, a := range all {
		if stored[a] != 1 {
			t.Errorf("message %+v was acknowledged and is there %d times", a, stored[a])
		}
	}
	if total != want {
		t.Errorf("%d messages are stored, %d were sent", total, want)
	}
}
