package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// holder names this process so that others on the same machine can tell when it is dead: the boot of the machine, the
// namespace that its pid is of, the pid, and when it began. A fifth word is of this store alone. Empty where the system does
// not say.
func (s *Store) holder() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, err2 := os.Readlink("/proc/self/ns/pid")
	began, alive := beganAt(os.Getpid())
	if err != nil || err2 != nil || !alive {
		return ""
	}
	return fmt.Sprintf("%s %s %d %s %s", strings.TrimSpace(string(boot)), namespace, os.Getpid(), began, s.instance)
}

// beganAt is when the process with that pid began, in ticks since boot; false if there is none or it is dead.
func beganAt(pid int) (ticks string, alive bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // from the state on, field 3 of proc(5)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}

// dead says whether a holder is surely dead: of this boot and namespace, and its pid is nobody's or another process's; or of
// this store, which says itself that it does not hold that any more.
func (s *Store) dead(other string, held bool) bool {
	theirs, own := strings.Fields(other), strings.Fields(s.holder())
	if len(theirs) < 4 || len(own) < 4 || theirs[0] != own[0] || theirs[1] != own[1] {
		return false
	}
	if slices.Equal(theirs, own) {
		return !held
	}
	pid, err := strconv.Atoi(theirs[2])
	if err != nil {
		return false
	}
	now, alive := beganAt(pid)
	return !alive || now != theirs[3]
}

const (
	selectHolder = `SELECT h.holder, h.lease_token FROM tbl_l1_lease_holders h JOIN tbl_l1_model_names n ON n.tenant = h.tenant AND n.name = h.name AND n.lease_token = h.lease_token WHERE h.tenant = ? AND h.name = ?`
	deleteHolder = `DELETE FROM tbl_l1_lease_holders WHERE tenant = ? AND name = ?`
	insertHolder = `INSERT INTO tbl_l1_lease_holders (tenant, name, lease_token, holder) VALUES (?, ?, ?, ?)`
)

// holderDied says whether the process that holds the model is surely dead. Another's counts are safe even if it were not:
// every transaction counts on from the version that its trainer knows.
func (s *Store) holderDied(ctx context.Context, tx *database.Tx, tenant, model string) (bool, error) {
	var other, token string
	err := tx.QueryRow(ctx, selectHolder, tenant, model).Scan(&other, &token)
	if errors.Is(err, database.ErrNoRows) {
		return false, nil
	}
	_, held := s.leases.Load(token)
	return err == nil && s.dead(other, held), err
}

// noteHolder records that this process holds the model.
func (s *Store) noteHolder(ctx context.Context, tx *database.Tx, tenant, model, token string) error {
	if _, err := tx.Exec(ctx, deleteHolder, tenant, model); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertHolder, tenant, model, token, s.holder())
	return err
}

const (
	selectBegun = `SELECT model_id, request_id FROM tbl_l1_models WHERE tenant = ? AND name = ? AND (state = 'copying' OR state = 'retired' AND retired_at > ?)`
	retireDead  = `UPDATE tbl_l1_models SET state = 'retired', retired_at = ? WHERE model_id = ? AND request_id = ?`
)

// clearDead removes what copies and imports under a name left whose processes were killed, or which could not clean up after
// themselves. While one is made, its request_id is its holder.
func (s *Store) clearDead(ctx context.Context, tenant, name string) error {
	begun := map[ngram.ModelID]string{}
	err := s.db.Stream(ctx, selectBegun, []any{tenant, name, s.now()}, func(row database.Row) error {
		begun[ngram.ModelID(row.Int(0))] = string(row.Bytes(1))
		return nil
	})
	for id, other := range begun {
		_, making := s.leases.Load(id)
		if err == nil && s.dead(other, making) {
			if _, err = s.db.Exec(ctx, retireDead, s.now(), int64(id), other); err == nil {
				err = s.purge(ctx, id, func() {})
			}
		}
		if errors.Is(err, database.ErrNoRows) { // another process was faster
			err = nil
		}
	}
	return err
}
