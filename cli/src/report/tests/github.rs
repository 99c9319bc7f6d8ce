//! The summary that GitHub shows.

use super::{ENDING, hostile, many, told};
use crate::render::{Ending, words};
use crate::report::github;
use crate::usual::Usual;
use crate::view::script::story::mixed;
use crate::view::script::{asked, came};
use regatta_domain::history::Queried;
use regatta_domain::{Micros, Outcome, Verdict};
use regatta_wire::v1;

#[test]
fn github_reads_a_summary_with_the_worst_first() {
    let script = told(mixed);
    let wanted = r####"### 🚫 Regatta: <code>api</code>, <code>core</code> was cancelled

| passed | failed | errors | not run | flaky | skipped | xfailed |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 3 | 3 | 3 | 1 | 1 | 1 | 1 |

Run `01920000-0000-7000-8000-000000000001` took 1m 00s on 4 slots; no schedule could have been shorter than 1m 00s. Exit code 1 (tests-failed).

#### Errors

<details><summary><code>tests/test&#95;c.py</code> could not be collected, 2 times</summary>

```text
Traceback:
  import nope
ModuleNotFoundError: nope
```

</details>

#### Failures

<details><summary><code>tests/test&#95;a.py::test&#95;bad[a b]</code> <code>AssertionError: assert 1 == 2</code></summary>

```text
regatta run api 'tests/test_a.py::test_bad[a b]'
```

```text
def test_bad():
>   assert 1 == 2
E   assert 1 == 2

tests/test_a.py:7: AssertionError
```

</details>
<details><summary><code>tests/test&#95;b.py::test&#95;hang</code> <code>exceeded its limit of 1m</code></summary>

```text
regatta run api 'tests/test_b.py::test_hang'
```


</details>
<details><summary><code>tests/test&#95;b.py::test&#95;segv</code> <code>SIGSEGV</code></summary>

cause: crash

```text
regatta run api 'tests/test_b.py::test_segv'
```

```text
about to\xff\x00 crash
```

</details>
<details><summary><code>tests/test&#95;b.py::test&#95;setup</code> <code>fixture 'db' not found</code></summary>

cause: set-up

```text
regatta run api 'tests/test_b.py::test_setup'
```


</details>

#### Not run

- <code>core::state::lost</code>

#### Flaky

- <code>tests/test&#95;a.py::test&#95;flaky</code> passed at attempt 2: <code>ConnectionError: reset</code>
"####;
    assert_eq!(github::summary(&script.view, &script.outputs, &ENDING), wanted);
}

#[test]
fn githubs_limit_is_kept_and_what_is_left_out_is_said() {
    let script = many(2_000, &b"<&`".repeat(1_000));
    let page = github::summary(&script.view, &script.outputs, &ENDING);
    assert!(page.len() <= 900 * 1024 && page.len() > 800 * 1024, "{}", page.len());
    let shown = page.matches("<details>").count();
    assert!(page.ends_with(&format!("… and {} more under “Failures”.\n", words::count(2_000 - shown))));
}

#[test]
fn markup_of_others_is_not_read_as_markup() {
    let script = told(hostile);
    let page = github::summary(&script.view, &script.outputs, &ENDING);
    let outside: String = page.split("````").step_by(2).collect();
    assert!(!outside.contains("<b>") && !outside.contains("<script>"), "{outside}");
    assert!(page.chars().all(|char| char == '\n' || char == '\t' || !char.is_control()));
}

#[test]
fn github_is_told_what_tests_ask_of_their_databases() {
    let mut usual = Usual::default();
    let before = [Queried { calls: 1, time: Micros::from_ms(8) }; 5];
    usual.insert("api", "tests/test_a.py::test_x".to_owned(), before.into_iter().collect());
    let script = told(|script| {
        script.view.policy.statements = true;
        script.file(0, "tests/test_a.py", &[("test_x", 10)]);
        script.seen = Some(asked(&[("SELECT a | b\n  FROM c", 40, 8)]));
        script.run("tests/test_a.py::test_x", came(Outcome::Passed, 10), Some(Verdict::Passed));
        script.end(v1::RunOutcome::Green);
    });
    let text = github::summary(&script.view, &script.outputs, &Ending { usual: Some(&usual), ..ENDING });
    let wanted = "
#### Ask more of their databases

- <code>tests/test&#95;a.py::test&#95;x</code> sends 40 statements, and 1 was usual

#### Slowest statements

- 8.00ms for 40 × <code>SELECT a &#124; b FROM c</code>
";
    assert!(text.ends_with(wanted), "{text}");
}
