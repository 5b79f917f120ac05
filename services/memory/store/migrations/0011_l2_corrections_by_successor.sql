-- +goose Up
{{create_index}} idx_l2_corrections_by_successor ON tbl_l2_correction_log (tenant, superseded_by);
