-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_l1_builds (
  build_id         BIGINT NOT NULL,
  model_id         SMALLINT NOT NULL,
  tenant           VARCHAR(64) NOT NULL,
  name             VARCHAR(128) NOT NULL,
  state            VARCHAR(16) NOT NULL,
  smoothing        VARCHAR(32) NOT NULL,
  kenlm_quirk      SMALLINT NOT NULL,
  storage          VARCHAR(8) NOT NULL,
  max_order        SMALLINT NOT NULL,
  vocabulary_end   BIGINT NOT NULL,
  vocabulary_size  BIGINT NOT NULL,
  counts_version   BIGINT NOT NULL,
  tokens           BIGINT NOT NULL,
  rows_added       BIGINT NOT NULL,
  rows_closed      BIGINT NOT NULL,
  logprob_codebook BIGINT NULL,
  backoff_codebook BIGINT NULL,
  warnings         LONGTEXT NOT NULL,
  failure          LONGTEXT NOT NULL,
  served_seq       BIGINT NULL,
  created_at       BIGINT NOT NULL,
  finished_at      BIGINT NULL,
  PRIMARY KEY (build_id)
) {{table_options}};

CREATE TABLE IF NOT EXISTS tbl_l1_counts_of_counts (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  k        SMALLINT NOT NULL,
  t        BIGINT NOT NULL,
  PRIMARY KEY (build_id, n, k),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

CREATE TABLE IF NOT EXISTS tbl_l1_mkn_params (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  d1       DOUBLE NOT NULL,
  d2       DOUBLE NOT NULL,
  d3       DOUBLE NOT NULL,
  fallback SMALLINT NOT NULL,
  ngrams   BIGINT NOT NULL,
  PRIMARY KEY (build_id, n),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

-- Codebooks are named by their content and shared by builds. Readers take values from here and never compute them.
CREATE TABLE IF NOT EXISTS tbl_quant_meta (
  codebook_id BIGINT NOT NULL,
  kind        VARCHAR(16) NOT NULL,
  bits        SMALLINT NOT NULL,
  lo          DOUBLE NOT NULL,
  hi          DOUBLE NOT NULL,
  PRIMARY KEY (codebook_id)
) {{table_options}};

CREATE TABLE IF NOT EXISTS tbl_q_to_mass (
  codebook_id BIGINT NOT NULL,
  code        INT NOT NULL,
  log10_value DOUBLE NOT NULL,
  mass        DOUBLE NOT NULL,
  PRIMARY KEY (codebook_id, code)
) {{table_options}};
