-- +goose Up
{{create_index}} idx_l2_facts_by_conversation ON tbl_l2_facts (tenant, conversation_id);
