"""What the benchmarks share: projects, peers, measuring, tables. What is measured is decided in `cases`, not here."""
