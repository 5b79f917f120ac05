package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

// removerVariable makes this test binary remove something from the store it names until it is killed.
const removerVariable = "DBSLM_MEMORY_TEST_REMOVER"

// removeUntilKilled has another process erase a person, or apply a tenant's policy, and kills it (SIGKILL) once it has told of its
// first batch: it dies in one of the next.
func removeUntilKilled(t *testing.T, target database.Target, what string, who tenantUser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprint(removerVariable, "=", target, " ", what, " ", who.tenant, " ", who.user))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(out).Scan()
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); !told || err == nil {
		t.Fatalf("the process told of a batch: %v, and ended with %v", told, err)
	}
}

// remove is the other process of removeUntilKilled. It waits after each batch, so that no machine is quick enough to finish.
func remove(role string) int {
	var dsn, what string
	var who tenantUser
	ctx := context.Background()
	_, err := fmt.Sscan(role, &dsn, &what, &who.tenant, &who.user)
	var target database.Target
	if err == nil {
		target, err = database.ParseTarget(dsn)
	}
	var db *database.DB
	if err == nil {
		db, err = database.Open(ctx, target, Schema, database.Options{MustExist: true})
	}
	var s *Store
	if err == nil {
		s, err = New(db)
	}
	tell := func(any) error {
		fmt.Println("a batch")
		time.Sleep(50 * time.Millisecond)
		return nil
	}
	switch {
	case err != nil:
	case what == "erase":
		_, err = s.Erase(ctx, who.tenant, memory.Subject{UserID: who.user}, "e", noon, func(rows int64) error { return tell(rows) })
	default:
		_, err = s.RunRetention(ctx, who.tenant, at(noon), func(run memory.RetentionRun) error { return tell(run) })
	}
	fmt.Fprintln(os.Stderr, "the removing process was not killed:", err)
	return 1
}
