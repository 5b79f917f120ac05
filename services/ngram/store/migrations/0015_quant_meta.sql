-- +goose Up
-- Codebooks are named by their content and shared by builds. Readers take values from here and never compute them.
CREATE TABLE IF NOT EXISTS tbl_quant_meta (
  codebook_id BIGINT NOT NULL,
  kind        VARCHAR(16) NOT NULL,
  bits        SMALLINT NOT NULL,
  lo          DOUBLE NOT NULL,
  hi          DOUBLE NOT NULL,
  PRIMARY KEY (codebook_id)
) {{table_options}};
