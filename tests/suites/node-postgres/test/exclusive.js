// Tests that change the server itself.

import assert from "node:assert";
import pg from "pg";
import { connected, number, url } from "../database.js";

export const a_role_is_made_and_used = () =>
  connected(async (db) => {
    await db.query("CREATE ROLE auditor; GRANT SELECT ON account TO auditor; SET ROLE auditor");
    assert.strictEqual(await number(db, "SELECT count(*) FROM account"), 50);
    await assert.rejects(() => db.query("DELETE FROM account"), { code: "42501" });
  });

export const a_database_is_made_and_dropped = () =>
  connected(async (db) => {
    await db.query("CREATE DATABASE tenant");
    const there = new URL(url);
    there.pathname = "/tenant";
    const tenant = new pg.Client({ connectionString: there.href });
    await tenant.connect();
    await tenant.query("CREATE TABLE t (n int)");
    await tenant.end();
    await db.query("DROP DATABASE tenant");
  });

export const a_setting_of_the_server_is_changed = () =>
  connected(async (db) => {
    await db.query("ALTER SYSTEM SET work_mem = '7MB'");
    await db.query("SELECT pg_reload_conf()");
    const shown = () => connected(async (fresh) => (await fresh.query("SHOW work_mem")).rows[0].work_mem);
    let now = await shown();
    for (let times = 0; now !== "7MB" && times < 200; times += 1) {
      now = await shown();
    }
    assert.strictEqual(now, "7MB");
  });
