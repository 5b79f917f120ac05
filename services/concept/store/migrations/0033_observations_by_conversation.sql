-- +goose Up
{{create_index}} idx_concept_observations_conversation ON tbl_l3_concept_observations (tenant, conversation_id);
