-- +goose Up
-- The concept document's own name and columns; its query is
-- SELECT concept_id FROM tbl_l3_concept_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1
{{create_view}} tbl_l3_concept_probs AS
SELECT tenant, bot, context_hash, concept_id, q_prob AS quantized_prob FROM tbl_l3_concept_probs_n;
