-- +goose Up
-- The words of which a text must hold one for an active correction to bear on it; an index of proposals that matching checks.
CREATE TABLE IF NOT EXISTS tbl_l2_correction_words (
  tenant        VARCHAR(64) NOT NULL,
  scope_key     VARCHAR(258) NOT NULL,
  word          VARCHAR(64) NOT NULL,
  correction_id VARCHAR(36) NOT NULL,
  PRIMARY KEY (tenant, scope_key, word, correction_id),
  FOREIGN KEY (tenant, correction_id) REFERENCES tbl_l2_correction_log (tenant, correction_id)
) {{table_options}};
