-- +goose Up
{{create_index}} idx_l2_conversations_by_update ON tbl_l2_conversations (tenant, updated_at, conversation_id);
