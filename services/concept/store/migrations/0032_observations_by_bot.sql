-- +goose Up
{{create_index}} idx_concept_observations_bot ON tbl_l3_concept_observations (tenant, bot, learnt_at, request_id);
