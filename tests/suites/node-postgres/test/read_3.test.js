import assert from "node:assert";
import test from "node:test";
import { connected } from "../db.js";

test("what was seeded is all there is", () =>
  connected(async (db) => {
    const { rows } = await db.query("SELECT count(*)::int AS n FROM account");
    assert.strictEqual(rows[0].n, 50);
  }));
