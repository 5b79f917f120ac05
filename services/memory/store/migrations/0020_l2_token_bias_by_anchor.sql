-- +goose Up
{{create_index}} idx_l2_token_bias_by_anchor ON tbl_l2_token_bias (tenant, scope_key, anchor, created_at);
