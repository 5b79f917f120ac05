-- +goose Up
{{create_index}} idx_evaluations_model ON tbl_l1_evaluations (tenant, name, evaluation_id);
