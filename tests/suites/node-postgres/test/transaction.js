// Tests that write, and roll everything back.

import assert from "node:assert";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { from as copyFrom } from "pg-copy-streams";
import { number, pooled, undone } from "../database.js";

export const an_account_is_taken_back = () =>
  pooled(2, async (pool) => {
    const db = await pool.connect();
    try {
      await db.query("BEGIN");
      await db.query("INSERT INTO account (email) VALUES ($1)", ["new@example.org"]);
      assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 51);
      assert.strictEqual(await number(pool, "SELECT count(*) FROM account"), 50);
      await db.query("ROLLBACK");
    } finally {
      // Closed, not kept: the pool would wait for it for ever, and it may be inside a transaction.
      db.release(true);
    }
  });

export const a_savepoint_takes_back_a_part = () =>
  undone(async (db) => {
    await db.query("DELETE FROM entry WHERE account = 3");
    await db.query("SAVEPOINT inner_part");
    await db.query("DELETE FROM account WHERE id = 3");
    await db.query("ROLLBACK TO inner_part");
    assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 50);
    assert.strictEqual(await number(db, "SELECT count(*) FROM entry"), 490);
  });

export const an_email_is_unique = () =>
  undone(async (db) => {
    const again = () => db.query("INSERT INTO account (email) VALUES ('twice@example.org')");
    await again();
    await assert.rejects(again, { code: "23505" });
  });

export const ids_go_on_after_the_seeded_ones = () =>
  undone(async (db) => {
    assert.strictEqual(await number(db, "INSERT INTO account (email) VALUES ('id@example.org') RETURNING id"), 51);
    assert.strictEqual(await number(db, "SELECT nextval('ticket')"), 1);
  });

export const accounts_are_copied_in = () =>
  undone(async (db) => {
    const lines = Array.from({ length: 1000 }, (_, at) => `copied${at}@example.org\t${at}\n`);
    await pipeline(Readable.from(lines), db.query(copyFrom("COPY account (email, balance) FROM STDIN")));
    assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 1050);
  });

export const a_column_can_be_added = () =>
  undone(async (db) => {
    await db.query("ALTER TABLE account ADD COLUMN nick text");
    assert.strictEqual(await number(db, "SELECT count(*) FROM account WHERE nick IS NULL"), 50);
  });

export const a_job_is_taken_once = () =>
  undone((db) =>
    undone(async (other) => {
      const next = "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
      assert.deepStrictEqual([await number(db, next), await number(other, next)], [1, 2]);
    }),
  );
