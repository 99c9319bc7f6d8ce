//! How a coordinator comes back that was killed in the middle of a large run.

use super::fleet::Fleet;
use super::server::Server;
use super::shape::Shape;
use std::time::Instant;

/// A run of known tests is killed; then the coordinator starts again, several times, from what it left.
pub(crate) async fn measure(shape: &Shape) {
    let directory = shape.directory();
    let data = directory.path();
    let part = shape.kill.unwrap_or(0.9);
    println!("{shape}; killed after {:.0} %", part * 100.0);
    let server = Server::start(shape, data).await;
    let mut fleet = Fleet::attach(shape, &server).await;
    fleet.run(0, 1.0).await.print("first (listing too)");
    fleet.tables().await;
    let mut fleet = Fleet::attach(shape, &server).await;
    let measured = fleet.run(1, part).await;
    measured.print("killed");
    println!("  resident at most {} MB", server.peak_mb());
    server.kill();
    let bytes = |name: &str| std::fs::metadata(data.join(name)).map_or(0, |found| found.len() / 1_000_000);
    println!("  journal {} MB, its log {} MB", bytes("journal.db"), bytes("journal.db-wal"));
    for time in 1..=shape.runs {
        let began = Instant::now();
        let server = Server::start(shape, data).await;
        let fleet = Fleet::attach(shape, &server).await;
        println!(
            "start {time}: listens after {:.2} s, all workers attached after {:.2} s; resident at most {} MB; CPU {}",
            server.took.as_secs_f64(),
            began.elapsed().as_secs_f64(),
            server.peak_mb(),
            server.usage().per(1_000_000)
        );
        let caught_up = Instant::now();
        fleet.tables().await;
        println!(
            "  the tables were {:.2} s behind; resident at most {} MB",
            caught_up.elapsed().as_secs_f64(),
            server.peak_mb()
        );
        drop(fleet);
        server.kill();
    }
}
