-- +goose Up
{{create_index}} idx_concept_builds_bot ON tbl_l3_concept_builds (tenant, bot, build_id);
