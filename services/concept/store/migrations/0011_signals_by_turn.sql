-- +goose Up
{{create_index}} idx_signals_turn ON tbl_l3_concept_signals (tenant, turn_id);
