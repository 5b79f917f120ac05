-- +goose Up
{{create_index}} idx_l2_token_bias_by_correction ON tbl_l2_token_bias (tenant, correction_id);
