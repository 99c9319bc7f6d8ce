CREATE TABLE account (
    id bigserial PRIMARY KEY,
    email text NOT NULL UNIQUE,
    balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0)
);
CREATE TABLE entry (
    id bigserial PRIMARY KEY,
    account bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    amount bigint NOT NULL,
    note text NOT NULL DEFAULT ''
);
CREATE INDEX entry_by_account ON entry (account);
CREATE TABLE job (id bigserial PRIMARY KEY, state text NOT NULL DEFAULT 'new');
CREATE SEQUENCE ticket;
CREATE MATERIALIZED VIEW total AS SELECT account, sum(amount) AS amount FROM entry GROUP BY account;

CREATE FUNCTION transfer(source bigint, target bigint, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account SET balance = balance - transfer.amount WHERE id = source;
    UPDATE account SET balance = balance + transfer.amount WHERE id = target;
    INSERT INTO entry (account, amount) VALUES (source, -transfer.amount), (target, transfer.amount);
END $$;

INSERT INTO account (email, balance) SELECT 'user' || n || '@example.org', 1000 FROM generate_series(1, 50) n;
INSERT INTO entry (account, amount) SELECT 1 + n % 50, 10 FROM generate_series(1, 500) n;
INSERT INTO job (state) SELECT 'new' FROM generate_series(1, 20);
REFRESH MATERIALIZED VIEW total;
