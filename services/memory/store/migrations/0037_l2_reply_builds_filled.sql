-- +goose Up
INSERT INTO tbl_l2_reply_builds (tenant, model, ngram_build_id)
SELECT t.tenant, t.model, t.ngram_build_id FROM tbl_l2_message_traces t
WHERE t.ngram_build_id > 0 AND NOT EXISTS (SELECT 1 FROM tbl_l2_reply_builds b WHERE b.tenant = t.tenant AND b.model = t.model AND b.ngram_build_id = t.ngram_build_id)
GROUP BY t.tenant, t.model, t.ngram_build_id;
