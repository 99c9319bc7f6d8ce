// Tests that read what was seeded: whoever commits beside them is noticed.

import assert from "node:assert";
import { to as copyTo } from "pg-copy-streams";
import Cursor from "pg-cursor";
import { connected, number, pooled } from "../database.js";

export const the_seed_is_all_there_is = () =>
  connected(async (db) => {
    assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 50);
    assert.strictEqual(await number(db, "SELECT count(*) FROM entry"), 500);
    assert.strictEqual(await number(db, "SELECT sum(balance) FROM account"), 50_000);
    assert.strictEqual(await number(db, "SELECT count(*) FROM job WHERE state = 'new'"), 20);
  });

export const a_pool_reads_side_by_side = () =>
  pooled(3, async (pool) => {
    const counts = await Promise.all(Array.from({ length: 9 }, () => number(pool, "SELECT count(*) FROM account")));
    assert.deepStrictEqual(counts, Array(9).fill(50));
    assert.ok(pool.totalCount <= 3);
  });

export const a_statement_is_prepared_once = () =>
  connected(async (db) => {
    for (let id = 1; id <= 20; id += 1) {
      const { rows } = await db.query({ name: "entries", text: "SELECT count(*)::int AS n FROM entry WHERE account = $1", values: [id] });
      assert.strictEqual(rows[0].n, 10);
    }
    assert.strictEqual(await number(db, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'entries'"), 1);
  });

export const a_cursor_is_read_in_parts = () =>
  connected(async (db) => {
    const cursor = db.query(new Cursor("SELECT id::int FROM entry ORDER BY id"));
    const ids = [];
    for (let part = await cursor.read(100); part.length > 0; part = await cursor.read(100)) {
      ids.push(...part.map((row) => row.id));
    }
    assert.deepStrictEqual(ids, Array.from({ length: 500 }, (_, at) => at + 1));
    await cursor.close();
  });

export const a_cursor_is_closed_early = () =>
  connected(async (db) => {
    const cursor = db.query(new Cursor("SELECT id FROM entry, generate_series(1, 1000)"));
    assert.strictEqual((await cursor.read(10)).length, 10);
    await cursor.close();
    assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 50);
  });

export const accounts_are_copied_out = () =>
  connected(async (db) => {
    let text = "";
    for await (const part of db.query(copyTo("COPY account TO STDOUT"))) {
      text += part;
    }
    assert.strictEqual(text.trimEnd().split("\n").length, 50);
  });

export const great_numbers_stay_exact = () =>
  connected(async (db) => {
    const { rows } = await db.query("SELECT 9223372036854775807::bigint AS most, $1::jsonb -> 'a' AS part", [{ a: [1, 2] }]);
    assert.deepStrictEqual(rows[0], { most: "9223372036854775807", part: [1, 2] });
  });
