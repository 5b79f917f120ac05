-- +goose Up
{{create_index}} idx_l2_corrections_by_asked ON tbl_l2_correction_log (tenant, asked_in);
