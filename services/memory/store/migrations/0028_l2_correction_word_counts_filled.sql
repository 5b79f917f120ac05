-- +goose Up
-- For corrections that were filed before words were counted.
INSERT INTO tbl_l2_correction_word_counts (tenant, scope_key, word, corrections)
SELECT w.tenant, w.scope_key, w.word, COUNT(*) FROM tbl_l2_correction_words w
WHERE NOT EXISTS (SELECT 1 FROM tbl_l2_correction_word_counts c WHERE c.tenant = w.tenant AND c.scope_key = w.scope_key AND c.word = w.word)
GROUP BY w.tenant, w.scope_key, w.word;
