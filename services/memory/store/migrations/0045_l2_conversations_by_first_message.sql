-- +goose Up
{{create_index}} idx_l2_conversations_by_first_message ON tbl_l2_conversations (tenant, first_message_at, conversation_id);
