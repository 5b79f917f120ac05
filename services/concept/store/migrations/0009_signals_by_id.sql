-- +goose Up
{{create_unique_index}} idx_signals_id ON tbl_l3_concept_signals (tenant, signal_id);
