-- +goose Up
{{create_index}} idx_l2_token_bias_by_conversation ON tbl_l2_token_bias (tenant, conversation_id, bias_id);
