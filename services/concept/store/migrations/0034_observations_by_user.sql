-- +goose Up
{{create_index}} idx_concept_observations_user ON tbl_l3_concept_observations (tenant, user_id);
