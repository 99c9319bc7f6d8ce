// Tests that never touch the database.

import assert from "node:assert";

const split = (amount, ways) => Array.from({ length: ways }, (_, at) => Math.floor(amount / ways) + (at < amount % ways ? 1 : 0));

export function nothing_is_lost_in_a_split() {
  for (let ways = 1; ways < 100; ways += 1) {
    assert.strictEqual(split(1000, ways).reduce((sum, share) => sum + share), 1000);
  }
}

export function shares_are_almost_alike() {
  assert.ok(Math.max(...split(1000, 7)) - Math.min(...split(1000, 7)) <= 1);
}

export function no_database_is_named() {
  // In a run without levels there is one for everybody.
  assert.ok(!process.env.REGATTA_LEVEL || !process.env.DATABASE_URL);
}
