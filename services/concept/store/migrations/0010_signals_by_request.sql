-- +goose Up
{{create_unique_index}} idx_signals_request ON tbl_l3_concept_signals (tenant, request_id, concept_id);
