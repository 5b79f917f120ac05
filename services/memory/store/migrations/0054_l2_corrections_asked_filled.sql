-- +goose Up
-- Of cues of before: the person of the conversation; of promoted ones, who recorded them.
UPDATE tbl_l2_correction_log SET asked_in = conversation_id, asked_by = COALESCE((SELECT c.user_id FROM tbl_l2_conversations c
  WHERE c.tenant = tbl_l2_correction_log.tenant AND c.conversation_id = tbl_l2_correction_log.conversation_id), recorded_by)
WHERE cue IS NOT NULL AND asked_by IS NULL;
