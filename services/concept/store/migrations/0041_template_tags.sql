-- +goose Up
-- Labels by which a request may prefer the template: sorted, with blanks between.
ALTER TABLE tbl_l3_verbal_templates ADD COLUMN tags VARCHAR(264) NOT NULL DEFAULT '';
