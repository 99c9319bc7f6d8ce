//! How many slots runs with a target need: what an autoscaler is told.

use crate::state::{Phase, Run};
use crate::step::Core;
use regatta_domain::{Micros, Time};

/// The least time that a target is counted with: a run that is late wants what would end it within this.
const SOON: Micros = Micros::from_secs(10);

impl Core {
    /// The slots that the live runs with a target need together to end in time, by what is left of them; nothing for runs
    /// without one. A run that is late wants as many as would end it within ten seconds.
    #[must_use]
    pub fn slots_wanted(&self, now: Time) -> u64 {
        self.state().runs.values().filter(|run| run.phase == Phase::Running).map(|run| wanted(run, now)).sum()
    }
}

fn wanted(run: &Run, now: Time) -> u64 {
    let Some(target) = run.policy.target else { return 0 };
    let start = run.suites.iter().map(|suite| suite.costs.start).max().unwrap_or_default();
    let left = (run.submitted + target).since(now).saturating_sub(start).max(SOON);
    (run.waiting() + run.leased).0.div_ceil(left.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Scene, file, run};
    use regatta_domain::policy::RunPolicy;
    use regatta_domain::submission::Submission;

    #[test]
    fn a_run_with_a_target_wants_as_many_slots_as_reach_it() {
        let mut scene = Scene::new();
        let tests: Vec<(String, u64)> = (0..60).map(|at| (at.to_string(), 10_000)).collect();
        let tests: Vec<(&str, u64)> = tests.iter().map(|(name, ms)| (name.as_str(), *ms)).collect();
        let policy = RunPolicy { target: Some(Micros::from_secs(100)), ..RunPolicy::default() };
        let _step = scene.submit(Submission { policy, ..run(vec![file("a", &tests)]) });
        let now = scene.core.state().runs.values().next().unwrap().submitted;
        assert_eq!(
            scene.core.slots_wanted(now),
            7,
            "600 s in 100 s, and the microsecond that taking the file up costs"
        );
        assert_eq!(scene.core.slots_wanted(now + Micros::from_secs(50)), 13);
        assert_eq!(scene.core.slots_wanted(now + Micros::from_secs(500)), 61, "late: within ten seconds");
    }
}
