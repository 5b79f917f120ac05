-- +goose Up
-- The concept document's own name and columns, for what answers when nothing is named: the published build of the default bot. Its query is
-- SELECT concept_id FROM tbl_l3_concept_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1
{{create_view}} tbl_l3_concept_probs AS
SELECT r.context_hash AS context_hash, r.concept_id AS concept_id, r.q_prob AS quantized_prob
FROM tbl_l3_concept_pointers AS p JOIN tbl_l3_concept_build_probs AS r ON r.build_id = p.build_id
WHERE p.tenant = 'default' AND p.bot = 'default';
