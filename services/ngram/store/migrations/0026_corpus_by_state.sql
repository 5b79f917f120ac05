-- +goose Up
{{create_index}} idx_corpus_state ON tbl_corpus (model_id, state);
