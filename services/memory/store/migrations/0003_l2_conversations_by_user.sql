-- +goose Up
{{create_index}} idx_l2_conversations_by_user ON tbl_l2_conversations (tenant, user_id, updated_at, conversation_id);
