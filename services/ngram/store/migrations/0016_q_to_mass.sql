-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_q_to_mass (
  codebook_id BIGINT NOT NULL,
  code        INT NOT NULL,
  log10_value DOUBLE NOT NULL,
  mass        DOUBLE NOT NULL,
  PRIMARY KEY (codebook_id, code)
) {{table_options}};
