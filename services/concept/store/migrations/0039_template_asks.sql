-- +goose Up
-- Slot that the template asks the person for; empty for a template that says the concept.
ALTER TABLE tbl_l3_verbal_templates ADD COLUMN asks VARCHAR(128) NOT NULL DEFAULT '';
