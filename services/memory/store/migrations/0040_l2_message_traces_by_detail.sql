-- +goose Up
{{create_index}} idx_l2_message_traces_by_detail ON tbl_l2_message_traces (tenant, detail_since, message_id);
