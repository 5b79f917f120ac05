-- +goose Up
-- How long each tenant keeps what, in microseconds; 0 for ever. next_at is when the job applies it again, NULL for never. holder
-- applies it at the moment, until lease_until.
CREATE TABLE IF NOT EXISTS tbl_l2_retention (
  tenant           VARCHAR(64) NOT NULL,
  conversations_us BIGINT NOT NULL,
  messages_us      BIGINT NOT NULL,
  trace_detail_us  BIGINT NOT NULL,
  every_us         BIGINT NOT NULL,
  next_at          BIGINT NULL,
  holder           VARCHAR(36) NOT NULL,
  lease_until      BIGINT NOT NULL,
  PRIMARY KEY (tenant)
) {{table_options}};
