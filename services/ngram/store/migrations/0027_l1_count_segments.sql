-- +goose Up
-- The integers of orders 2 and up once more, packed for builds: segment s of 2^bits holds the contexts whose hash begins
-- with the bits s (the sign turned round), with their parents, followers and adjusted counts. A build writes them and the
-- next one reads them; a transaction that changes a count deletes the segments it touches, and those are read from rows.
CREATE TABLE IF NOT EXISTS tbl_l1_count_segments (
  model_id SMALLINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  bits     TINYINT UNSIGNED NOT NULL,
  segment  BIGINT NOT NULL,
  packed   LONGBLOB NOT NULL,
  PRIMARY KEY (model_id, n, bits, segment)
) {{rowid_table_options}};
