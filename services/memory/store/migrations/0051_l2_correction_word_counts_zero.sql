-- +goose Up
-- Words of corrections that ended are kept no longer than some other one has them.
DELETE FROM tbl_l2_correction_word_counts WHERE corrections <= 0;
