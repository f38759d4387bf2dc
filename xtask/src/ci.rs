//! Everything that must pass before a change lands, group by group.
//!
//! Order: what fails fastest first. A failed step does not stop the later ones, except that nothing is tested
//! when the workspace does not build.

use crate::budget::{Group, Ledger};
use crate::program::{cargo, run_aloud, run_quietly};
use crate::tidy;
use anyhow::Result;

/// Runs all groups and prints the table.
///
/// # Errors
/// If a step failed or the whole took longer than its minutes.
pub(crate) fn run() -> Result<()> {
    let mut ledger = Ledger::default();
    ledger.step(Group::Build, "format", || run_quietly(&mut cargo(&["fmt", "--all", "--check"])));
    ledger.step(Group::Build, "tidy", tidy::run);
    let builds = ledger.step(Group::Build, "clippy, warnings denied", || {
        run_aloud(&mut cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    });
    if builds {
        ledger.step(Group::Build, "documentation, warnings denied", || {
            run_aloud(
                cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--locked"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        });
        ledger.step(Group::Models, "tests", || {
            run_aloud(&mut cargo(&["test", "--quiet", "--workspace", "--locked"]))
        });
    }
    ledger.close()
}
