-- +goose Up
{{create_index}} idx_l2_message_traces_by_build ON tbl_l2_message_traces (tenant, model, ngram_build_id, state, message_id);
