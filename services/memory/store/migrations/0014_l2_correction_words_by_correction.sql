-- +goose Up
{{create_index}} idx_l2_correction_words_by_correction ON tbl_l2_correction_words (tenant, correction_id);
