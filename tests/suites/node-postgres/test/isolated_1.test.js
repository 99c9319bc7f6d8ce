import assert from "node:assert";
import test from "node:test";
import { connected } from "../db.js";

test("a new account is the fifty-first, and stays", () =>
  connected(async (db) => {
    await db.query("INSERT INTO account (email) VALUES ('node@example.org')");
    await connected(async (other) => {
      const { rows } = await other.query("SELECT id::int FROM account WHERE email = 'node@example.org'");
      assert.strictEqual(rows[0].id, 51);
    });
  }));
