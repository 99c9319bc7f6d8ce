//! What goes wrong befalls a world: connections break, workers die, stop and leave, the coordinator dies.

use super::Simulation;
use super::checkers::Checked;
use super::faults::{Fault, Side, pick};
use super::world::Happening;
use regatta_core::SessionId;
use regatta_domain::Micros;

impl Simulation {
    pub(super) fn fault(&mut self) -> Checked {
        if self.is_calm() {
            return Ok(());
        }
        let swarm = self.swarm;
        if let Some(fault) = swarm.draw(&mut self.chance) {
            let longest = if self.chance.below(5) == 0 { 300 } else { 5_000 };
            let wait = Micros::from_ms(self.chance.below(longest));
            self.world.after(wait, Happening::Fault);
            if swarm.has(fault.class()) {
                self.tell(|| format!("  {fault:?}"));
                self.befalls(fault)?;
            }
        }
        Ok(())
    }

    fn befalls(&mut self, fault: Fault) -> Checked {
        let machine = pick(&mut self.chance, self.machines.len());
        let session = self.machines[machine].session();
        match fault {
            Fault::Drop(side) => {
                if let Some(session) = session {
                    let late = if self.swarm.runs_nothing_twice() { 600 } else { 14_000 };
                    let late = Micros::from_ms(self.chance.below(late));
                    self.break_off(session, side, late);
                }
                Ok(())
            }
            Fault::Stall(wait) => {
                if let Some(session) = session {
                    let until = (self.world.now + wait).min(self.calm_at);
                    self.world.stall(session, until);
                }
                Ok(())
            }
            Fault::CrashWorker(wait) => {
                self.kill(machine, wait);
                Ok(())
            }
            Fault::PauseWorker(wait) => {
                self.machines[machine].paused_until = (self.world.now + wait).min(self.calm_at);
                Ok(())
            }
            Fault::Drain(wait) => self.drain(machine, wait),
            Fault::CrashCoordinator(wait) => self.crash_coordinator(wait),
            Fault::Meddle => self.meddle(),
        }
    }

    /// A connection breaks; the sides notice at different times.
    pub(super) fn break_off(&mut self, session: SessionId, side: Side, late: Micros) {
        if self.world.connections.get(&session).is_none_or(|connection| connection.broken) {
            return;
        }
        self.world.break_off(session);
        let soon = Micros::from_ms(1 + self.chance.below(20));
        let (worker, coordinator) = match side {
            Side::Both => (soon, Some(soon)),
            Side::Worker => (soon, None),
            Side::Coordinator => (late, Some(soon)),
        };
        self.world.after(worker, Happening::WorkerNotices(session));
        if let Some(wait) = coordinator {
            self.world.after(wait, Happening::CoordinatorNotices(session));
        }
    }

    /// The coordinator dies with what was under way; how many of the commits under way were made is anybody's guess.
    pub(super) fn crash_coordinator(&mut self, wait: Micros) -> Checked {
        if !self.coordinator.is_up() {
            return Ok(());
        }
        let (line, chance) = (self.coordinator.in_line(), &mut self.chance);
        let durable = pick(chance, line + 1);
        self.tell(|| format!("  the coordinator dies; of {line} commits under way, {durable} are durable"));
        let events = self.coordinator.crash(durable);
        self.life += 1;
        self.durable_at = self.world.now;
        self.checkers.committed(&events, &self.truth)?;
        let sessions: Vec<SessionId> = self.world.connections.keys().copied().collect();
        for session in sessions {
            self.break_off(session, Side::Worker, Micros::ZERO);
        }
        self.world.after(wait, Happening::Start);
        Ok(())
    }
}
