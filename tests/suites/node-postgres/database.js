// The database that the test was handed.

import pg from "pg";

export const url = process.env.DATABASE_URL;

/** How many connections the test may open. */
export const most = Number(process.env.REGATTA_MAX_CONNECTIONS ?? 20);

/** Runs `work` with a client of its own. */
export async function connected(work) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Runs `work` with a pool of so many connections. */
export async function pooled(connections, work) {
  const pool = new pg.Pool({ connectionString: url, max: Math.min(connections, most) });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** Runs `work` between BEGIN and ROLLBACK. */
export function undone(work) {
  return connected(async (db) => {
    await db.query("BEGIN");
    try {
      return await work(db);
    } finally {
      await db.query("ROLLBACK");
    }
  });
}

/** The number that a query gives. */
export async function number(db, query, values) {
  const { rows } = await db.query({ text: query, values, rowMode: "array" });
  return Number(rows[0][0]);
}
