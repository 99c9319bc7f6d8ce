// Tests that commit: each expects to be the first to do so.

import assert from "node:assert";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { connected, most, number, pooled, url } from "../database.js";

export const a_new_account_is_the_fifty_first_and_stays = () =>
  connected(async (db) => {
    await db.query("INSERT INTO account (email) VALUES ('node@example.org')");
    await connected(async (other) => {
      assert.strictEqual(await number(other, "SELECT id FROM account WHERE email = 'node@example.org'"), 51);
    });
  });

export const a_listener_hears_what_was_said_here_and_no_more = () =>
  connected(async (db) => {
    const heard = [];
    db.on("notification", ({ payload }) => heard.push(payload));
    await db.query("LISTEN words");
    await pooled(1, async (pool) => {
      await pool.query("NOTIFY words, 'hello'");
      await pool.query("SELECT pg_notify('words', 'end')");
    });
    while (!heard.includes("end")) {
      await once(db, "notification");
    }
    assert.deepStrictEqual(heard, ["hello", "end"]);
  });

export const what_is_copied_in_stays = () =>
  connected(async (db) => {
    await pipeline(Readable.from(["1\t7\n", "2\t8\n"]), db.query(copyFrom("COPY entry (account, amount) FROM STDIN")));
    await connected(async (other) => assert.strictEqual(await number(other, "SELECT max(id) FROM entry"), 502));
  });

export const jobs_are_done_by_a_pool = () =>
  pooled(4, async (pool) => {
    const take = `UPDATE job SET state = 'done' WHERE id =
      (SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id`;
    const taken = await Promise.all(Array.from({ length: 4 }, async () => {
      const ids = [];
      for (let { rows } = await pool.query(take); rows.length > 0; { rows } = await pool.query(take)) {
        ids.push(Number(rows[0].id));
      }
      return ids;
    }));
    assert.deepStrictEqual(taken.flat().sort((a, b) => a - b), Array.from({ length: 20 }, (_, at) => at + 1));
  });

export const a_lock_is_held_by_one_connection = () =>
  connected((db) =>
    connected(async (other) => {
      const got = async (by) => (await by.query("SELECT pg_try_advisory_lock(42) AS got")).rows[0].got;
      assert.deepStrictEqual([await got(db), await got(other)], [true, false]);
      await db.query("SELECT pg_advisory_unlock_all()");
      assert.ok(await got(other));
    }),
  );

export const of_two_that_read_what_the_other_writes_one_is_refused = () =>
  connected((db) =>
    connected(async (other) => {
      for (const by of [db, other]) {
        await by.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert.strictEqual(await number(by, "SELECT sum(balance) FROM account"), 50_000);
      }
      await db.query("UPDATE account SET balance = 0 WHERE id = 1");
      await db.query("COMMIT");
      const late = async () => {
        await other.query("UPDATE account SET balance = 0 WHERE id = 2");
        await other.query("COMMIT");
      };
      await assert.rejects(late, { code: "40001" });
    }),
  );

export const what_is_prepared_outlives_its_connection = async () => {
  const name = process.env.REGATTA_NAMESPACE ?? "shop";
  await connected(async (db) => {
    await db.query("BEGIN");
    await db.query("UPDATE account SET balance = 7 WHERE id = 1");
    await db.query(`PREPARE TRANSACTION '${name}'`);
  });
  await connected(async (db) => {
    await db.query(`COMMIT PREPARED '${name}'`);
    assert.strictEqual(await number(db, "SELECT sum(balance) FROM account"), 49_007);
  });
};

export const the_next_connection_after_the_last_is_refused = async () => {
  if (!process.env.REGATTA_MAX_CONNECTIONS) return;
  await pooled(most, async (pool) => {
    const open = await Promise.all(Array.from({ length: most }, () => pool.connect()));
    try {
      await assert.rejects(() => new pg.Client({ connectionString: url }).connect(), { code: "53300" });
    } finally {
      for (const client of open) client.release();
    }
  });
};
