-- Requests that were open when deadlines came, and those that instances of the version before have taken since, are
-- reminded of as well: the sweeper tells the last reminder that has passed, and sets the next.
INSERT INTO deadline (shard, kind, subject_id, due_at)
SELECT shard, 'privacy-reminder', request_id, due_at - interval '7 days' FROM privacy_request
WHERE state IN ('received', 'verifying', 'inProgress')
ON CONFLICT DO NOTHING;

-- What an instance of the version before completes is completed: it knows of no state.
CREATE FUNCTION privacy_request_completed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'completed' AND OLD.status IS DISTINCT FROM 'completed' AND NEW.state = 'inProgress' THEN
        NEW.state := 'completed';
        NEW.ended_at := coalesce(NEW.ended_at, NEW.completed_at);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER privacy_request_completed BEFORE UPDATE OF status ON privacy_request
    FOR EACH ROW EXECUTE FUNCTION privacy_request_completed();
UPDATE privacy_request SET state = 'completed', ended_at = coalesce(ended_at, completed_at)
WHERE status = 'completed' AND state = 'inProgress';
