-- +goose Up
{{create_view}} tbl_l1_ngram_counts AS
SELECT c.model_id AS model_id,
       c.n AS n,
       c.context_hash AS context_hash,
       c.next_token_id AS next_token_id,
       c.c AS raw_count,
       COALESCE(c.a, c.c) AS adjusted_count
FROM tbl_l1_model_names m
JOIN tbl_l1_builds b ON b.build_id = m.published_build
JOIN tbl_l1_mkn_params o ON o.build_id = b.build_id
JOIN tbl_l1_ng_counts_n c ON c.model_id = b.model_id AND c.n = o.n;
