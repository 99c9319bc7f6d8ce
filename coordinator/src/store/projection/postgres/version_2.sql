-- Why an attempt did not pass (0 where it did), and how its process ended, where it had one; why a verdict is none that passes.
ALTER TABLE regatta.verdicts ADD COLUMN cause smallint NOT NULL DEFAULT 0;
ALTER TABLE regatta.attempts ADD COLUMN cause smallint NOT NULL DEFAULT 0;
ALTER TABLE regatta.attempts ADD COLUMN status integer;
ALTER TABLE regatta.attempts ADD COLUMN signal integer;

-- Results that were refused: their lease had been taken from the worker. They count for nothing.
CREATE TABLE regatta.refused (
    run bigint NOT NULL, token bigint NOT NULL, at bigint NOT NULL, started bigint NOT NULL, duration bigint NOT NULL,
    test integer NOT NULL, attempt integer NOT NULL, outcome smallint NOT NULL, worker uuid NOT NULL,
    PRIMARY KEY (run, test, token)
);
