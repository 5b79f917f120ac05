-- +goose Up
{{create_index}} idx_l2_corrections_by_time ON tbl_l2_correction_log (tenant, created_at, correction_id);
