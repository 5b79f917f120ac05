-- +goose Up
INSERT INTO tbl_l2_correction_word_counts (tenant, scope_key, word, corrections)
SELECT l.tenant, l.scope_key, '', COUNT(*) FROM tbl_l2_correction_log l
WHERE l.active = 1 AND NOT EXISTS (SELECT 1 FROM tbl_l2_correction_word_counts c WHERE c.tenant = l.tenant AND c.scope_key = l.scope_key AND c.word = '')
GROUP BY l.tenant, l.scope_key;
