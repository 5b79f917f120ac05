-- +goose Up
{{create_index}} idx_l2_corrections_by_scope ON tbl_l2_correction_log (tenant, scope_key, active, created_at, correction_id);
