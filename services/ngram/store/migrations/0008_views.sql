-- +goose Up
-- The published builds under the names of the concept document. tbl_l1_mkn_params has one row per order of a build and
-- leads into the primary key of the rows, so that a query for one context_hash reads only that context.
DROP VIEW IF EXISTS tbl_l1_ngram_probs;
CREATE VIEW tbl_l1_ngram_probs AS
SELECT p.model_id AS model_id,
       p.n AS n,
       p.context_hash AS context_hash,
       p.next_token_id AS next_token_id,
       COALESCE(p.q_logprob, p.logprob) AS quantized_prob
FROM tbl_l1_model_names m
JOIN tbl_l1_builds b ON b.build_id = m.published_build
JOIN tbl_l1_mkn_params o ON o.build_id = b.build_id
JOIN tbl_l1_ng_probs_n p ON p.model_id = b.model_id AND p.n = o.n
WHERE p.since_build <= b.build_id AND (p.until_build IS NULL OR p.until_build > b.build_id);

DROP VIEW IF EXISTS tbl_l1_ngram_counts;
CREATE VIEW tbl_l1_ngram_counts AS
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

-- In how many different contexts a token was seen.
DROP VIEW IF EXISTS tbl_l1_continuations;
CREATE VIEW tbl_l1_continuations AS
SELECT c.model_id AS model_id,
       c.next_token_id AS token_id,
       COALESCE(c.a, c.c) AS continuation_count
FROM tbl_l1_ng_counts_n c
WHERE c.n = 1;
