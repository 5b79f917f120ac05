package store

import (
	"context"
	"fmt"
	"os"
	"strings"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
)

// holder names this process so that others on the same machine can tell when it is dead: the boot of the machine, the
// namespace that its pid is of, the pid, and when it began. Empty where the system does not say.
func holder() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, err2 := os.Readlink("/proc/self/ns/pid")
	began, alive := beganAt(os.Getpid())
	if err != nil || err2 != nil || !alive {
		return ""
	}
	return fmt.Sprintf("%s %s %d %s", strings.TrimSpace(string(boot)), namespace, os.Getpid(), began)
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

// dead says whether a holder is surely dead: of this boot and namespace, and its pid is nobody's or another process's.
func dead(other, own string) bool {
	var boot, namespace, began, ownBoot, ownNamespace, ownBegan string
	var pid, ownPid int
	if _, err := fmt.Sscan(other, &boot, &namespace, &pid, &began); err != nil {
		return false
	}
	if _, err := fmt.Sscan(own, &ownBoot, &ownNamespace, &ownPid, &ownBegan); err != nil || boot != ownBoot || namespace != ownNamespace {
		return false
	}
	now, alive := beganAt(pid)
	return !alive || now != began
}

const (
	selectHolder = `SELECT h.holder FROM tbl_l1_lease_holders h JOIN tbl_l1_model_names n ON n.tenant = h.tenant AND n.name = h.name AND n.lease_token = h.lease_token WHERE h.tenant = ? AND h.name = ?`
	deleteHolder = `DELETE FROM tbl_l1_lease_holders WHERE tenant = ? AND name = ?`
	insertHolder = `INSERT INTO tbl_l1_lease_holders (tenant, name, lease_token, holder) VALUES (?, ?, ?, ?)`
)

// holderDied says whether the process that holds the model is surely dead. Another's counts are safe even if it were not:
// every transaction counts on from the version that its trainer knows.
func (s *Store) holderDied(ctx context.Context, tx *database.Tx, tenant, model string) (bool, error) {
	var other string
	err := tx.QueryRow(ctx, selectHolder, tenant, model).Scan(&other)
	if errors.Is(err, database.ErrNoRows) {
		return false, nil
	}
	return err == nil && dead(other, holder()), err
}

// noteHolder records that this process holds the model.
func (s *Store) noteHolder(ctx context.Context, tx *database.Tx, tenant, model, token string) error {
	if _, err := tx.Exec(ctx, deleteHolder, tenant, model); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertHolder, tenant, model, token, holder())
	return err
}
