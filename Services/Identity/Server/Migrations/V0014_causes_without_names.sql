-- What merges were made because of held the identifiers themselves where a service had asked for a profile by them.
UPDATE profiles.merge SET cause = jsonb_set(cause, '{messageId}', '"resolve"')
WHERE cause->>'messageId' LIKE '{"type"%';
UPDATE profiles.merge SET suppressed_cause = jsonb_set(suppressed_cause, '{messageId}', '"resolve"')
WHERE suppressed_cause->>'messageId' LIKE '{"type"%';
UPDATE profiles.timeline SET body = jsonb_set(body::jsonb, '{cause,messageId}', '"resolve"')::text
WHERE type = 'merge' AND body LIKE '%"messageId":"{\\"type%';
