-- Why an attempt did not pass (0 where it did), and how its process ended, where it had one; why a verdict is none that passes.
ALTER TABLE regatta.verdicts ADD COLUMN cause smallint NOT NULL DEFAULT 0;
ALTER TABLE regatta.attempts ADD COLUMN cause smallint NOT NULL DEFAULT 0;
ALTER TABLE regatta.attempts ADD COLUMN status integer;
ALTER TABLE regatta.attempts ADD COLUMN signal integer;
