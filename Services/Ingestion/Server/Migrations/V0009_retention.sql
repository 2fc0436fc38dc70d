-- What is kept no longer is found by when it came.
CREATE INDEX quarantine_age ON quarantine (received_at) WHERE item IS NOT NULL;
CREATE INDEX import_ended ON import (ended_at) WHERE ended_at IS NOT NULL;
