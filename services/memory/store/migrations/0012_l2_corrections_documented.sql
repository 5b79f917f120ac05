-- +goose Up
-- For the concept document's own query, which names a conversation and no tenant.
{{create_index}} idx_l2_corrections_documented ON tbl_l2_correction_log (conversation_id, active, created_at);
