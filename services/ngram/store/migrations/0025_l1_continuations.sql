-- +goose Up
-- In how many different contexts a token was seen.
{{create_view}} tbl_l1_continuations AS
SELECT c.model_id AS model_id,
       c.next_token_id AS token_id,
       COALESCE(c.a, c.c) AS continuation_count
FROM tbl_l1_ng_counts_n c
WHERE c.n = 1;
