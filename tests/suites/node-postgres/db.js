import pg from "pg";

/** Runs `work` with a client of the database that this test was handed. */
export async function connected(work) {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
