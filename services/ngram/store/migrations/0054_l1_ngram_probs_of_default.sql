-- +goose Up
-- The concept document's name and columns, for the model that answers when none is named, so that the document's query, which names
-- none, says what the service says: SELECT next_token_id FROM tbl_l1_ngram_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1
{{create_view}} tbl_l1_ngram_probs AS
SELECT p.model_id AS model_id,
       p.n AS n,
       p.context_hash AS context_hash,
       p.next_token_id AS next_token_id,
       COALESCE(p.q_logprob, p.logprob) AS quantized_prob
FROM tbl_l1_model_names m
JOIN tbl_l1_builds b ON b.build_id = m.published_build
JOIN tbl_l1_mkn_params o ON o.build_id = b.build_id
JOIN tbl_l1_ng_probs_n p ON p.model_id = b.model_id AND p.n = o.n
WHERE m.tenant = 'default' AND m.name = 'default'
  AND p.since_build <= b.build_id AND (p.until_build IS NULL OR p.until_build > b.build_id);
