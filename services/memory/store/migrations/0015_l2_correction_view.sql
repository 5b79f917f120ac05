-- +goose Up
-- The concept document's query, as written in docs/decisions/0032-corrections.md, runs on this view on every engine.
{{create_view}} tbl_l2_correction_view AS
SELECT tenant, conversation_id, correction_id, scope, user_id, model, subject, error_context, error_context_pattern,
       corrected_fact_json, recorded_by, created_at
FROM tbl_l2_correction_log
WHERE active = 1;
