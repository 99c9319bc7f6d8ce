CREATE TABLE account (
    id bigserial PRIMARY KEY,
    email text NOT NULL UNIQUE,
    balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0)
);
CREATE TABLE entry (
    id bigserial PRIMARY KEY,
    account bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    amount bigint NOT NULL
);
CREATE INDEX entry_by_account ON entry (account);
CREATE SEQUENCE ticket;
CREATE MATERIALIZED VIEW total AS SELECT account, sum(amount) AS amount FROM entry GROUP BY account;

-- Writes from inside a function, which the text of the statement does not tell.
CREATE FUNCTION transfer(source bigint, target bigint, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account SET balance = balance - transfer.amount WHERE id = source;
    UPDATE account SET balance = balance + transfer.amount WHERE id = target;
END $$;

-- Reads, whatever its name says.
CREATE FUNCTION insert_estimate(of bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(amount), 0) FROM entry WHERE account = of
$$;

CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO entry (account, amount) VALUES (NEW.id, 0);
    RETURN NEW;
END $$;
CREATE TRIGGER audited AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION audit();

INSERT INTO account (email, balance) SELECT 'user' || n || '@example.org', 1000 FROM generate_series(1, 50) n;
INSERT INTO entry (account, amount) SELECT 1 + n % 50, 10 FROM generate_series(1, 500) n;
REFRESH MATERIALIZED VIEW total;
