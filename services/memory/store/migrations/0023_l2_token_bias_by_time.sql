-- +goose Up
{{create_index}} idx_l2_token_bias_by_time ON tbl_l2_token_bias (tenant, created_at, bias_id);
