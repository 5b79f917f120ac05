-- +goose Up
{{create_index}} idx_l2_corrections_by_reviewer ON tbl_l2_correction_log (tenant, reviewed_by);
