// Runs one test, named LEVEL/NAME/TIME, or prints the names of all (`--list`). Each is there twice: who commits in one is noticed in
// the other.

import test from "node:test";

const asked = process.argv[2];

if (asked === "--list") {
  for (const level of ["none", "read", "transaction", "isolated", "exclusive"]) {
    for (const name of Object.keys(await import(`./test/${level}.js`))) {
      console.log(`${level}/${name}/one\n${level}/${name}/two`);
    }
  }
} else {
  const [level, name] = asked.split("/");
  const run = (await import(`./test/${level}.js`))[name];
  test(asked, { timeout: 30_000 }, () => run());
}
