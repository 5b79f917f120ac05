-- +goose Up
{{create_index}} idx_l2_corrections_by_conversation ON tbl_l2_correction_log (tenant, conversation_id, active, created_at, correction_id);
