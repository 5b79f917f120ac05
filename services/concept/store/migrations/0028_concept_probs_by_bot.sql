-- +goose Up
-- The same for every bot.
{{create_view}} tbl_l3_concept_probs_by_bot AS
SELECT p.tenant AS tenant, p.bot AS bot, r.context_hash AS context_hash, r.concept_id AS concept_id, r.q_prob AS quantized_prob
FROM tbl_l3_concept_pointers AS p JOIN tbl_l3_concept_build_probs AS r ON r.build_id = p.build_id
WHERE p.bot <> '';
