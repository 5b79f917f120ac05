-- +goose Up
{{create_index}} idx_l2_facts_by_scope ON tbl_l2_facts (tenant, scope_key, active, created_at, fact_id);
