-- +goose Up
-- The published builds of all models. A context's hash is over token ids, and every model has its own: a query names its model.
-- tbl_l1_mkn_params has one row per order of a build and leads into the primary key of the rows.
{{create_view}} tbl_l1_ngram_probs_by_model AS
SELECT m.tenant AS tenant,
       m.name AS model,
       p.model_id AS model_id,
       p.n AS n,
       p.context_hash AS context_hash,
       p.next_token_id AS next_token_id,
       COALESCE(p.q_logprob, p.logprob) AS quantized_prob
FROM tbl_l1_model_names m
JOIN tbl_l1_builds b ON b.build_id = m.published_build
JOIN tbl_l1_mkn_params o ON o.build_id = b.build_id
JOIN tbl_l1_ng_probs_n p ON p.model_id = b.model_id AND p.n = o.n
WHERE p.since_build <= b.build_id AND (p.until_build IS NULL OR p.until_build > b.build_id);
