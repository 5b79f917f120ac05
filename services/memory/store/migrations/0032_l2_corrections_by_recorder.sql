-- +goose Up
{{create_index}} idx_l2_corrections_by_recorder ON tbl_l2_correction_log (tenant, recorded_by);
