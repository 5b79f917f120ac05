-- +goose Up
INSERT INTO tbl_decode_cache_weights (model_id, tokens, weight)
SELECT d.model_id, d.tokens, d.weight
FROM (SELECT 0 AS model_id, 1 AS tokens, 0.12 AS weight UNION ALL SELECT 0, 16, 0.15) d
WHERE NOT EXISTS (SELECT 1 FROM tbl_decode_cache_weights w WHERE w.model_id = d.model_id AND w.tokens = d.tokens);
