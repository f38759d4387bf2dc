//! The commands, one file each; what they share beside the session is in the files above this folder.

pub mod access;
pub mod acknowledge;
pub mod administrators;
pub mod bench;
mod calibrate;
pub mod clock;
pub mod cluster;
pub mod commission;
pub mod compare;
pub mod config;
pub mod detect;
mod doubles;
mod each;
pub mod ending;
pub mod enrol;
pub mod eval;
pub mod flash;
pub mod gallery;
pub mod info;
pub mod layers;
pub mod log;
pub mod model;
mod other_version;
pub mod pair;
pub mod policy;
pub mod reserve;
pub mod rule;
pub mod schedule;
pub mod slots;
pub mod stats;
pub mod table;
pub mod train;
pub mod units;
mod unlock;
pub mod vault;
pub mod why;

use crate::args::{Command, VaultCommand};
use crate::meant::Meant;
use threshold_models::pack::EmbedderMeta;
use threshold_policy::Policy;

/// Does what was typed, at every unit that is meant.
///
/// # Errors
/// Whatever the command says.
pub fn at(meant: &Meant, command: &Command) -> anyhow::Result<Answer> {
    let for_itself = matches!(
        command,
        Command::Units(_)
            | Command::Detect(_)
            | Command::Compare(_)
            | Command::Cluster(_)
            | Command::Model(_)
            | Command::Eval(_)
            | Command::Table(_)
            | Command::Flash(crate::args::Flash { first: Some(_), .. })
            | Command::Policy(crate::args::Policy::Forecast(_))
            | Command::Bench(_)
            | Command::Train(_)
    ) || matches!(command, Command::Vault(typed) if !matches!(typed.what, VaultCommand::Audit));
    if meant.targets().len() > 1 && !for_itself {
        if matches!(command, Command::Log(crate::args::Log::Follow(follow)) if follow.count.is_none())
        {
            return Err(crate::error::HostError::FollowsForEver.into());
        }
        return each::each(meant, command);
    }
    run(meant, command)
}

/// Does what was typed.
///
/// # Errors
/// Whatever the command says; `remedy` knows what to do about it.
pub fn run(meant: &Meant, command: &Command) -> anyhow::Result<Answer> {
    let embeds = matches!(
        command,
        Command::Enrol(_)
            | Command::Compare(_)
            | Command::Cluster(_)
            | Command::Model(_)
            | Command::Eval(_)
            | Command::Policy(crate::args::Policy::Forecast(_))
            | Command::Bench(_)
            | Command::Vault(_)
    );
    if meant.model.is_some() && !embeds {
        meant.say.warn("--model is left out: this command embeds no face");
    }
    match command {
        Command::Info => info::run(meant),
        Command::Units(typed) => units::run(meant, typed),
        Command::Stats => stats::run(meant),
        Command::Pair(typed) => pair::run(meant, typed),
        Command::Unpair => administrators::unpair(meant),
        Command::Commission(typed) => commission::run(meant, typed),
        Command::Administrators(typed) => administrators::run(meant, typed),
        Command::Enrol(typed) => enrol::run(meant, typed),
        Command::Gallery(typed) => gallery::run(meant, typed),
        Command::Vault(typed) => vault::run(meant, typed),
        Command::Log(typed) => log::run(meant, typed),
        Command::Flash(typed) => flash::run(meant, typed),
        Command::Slots => slots::run(meant),
        Command::Confirm => slots::confirm(meant),
        Command::Revert => slots::revert(meant),
        Command::Unlock => unlock::run(meant),
        Command::Reboot => ending::reboot(meant),
        Command::Wipe(typed) => ending::wipe(meant, typed),
        Command::Why(typed) => why::run(meant, typed),
        Command::Detect(typed) => detect::run(meant, typed),
        Command::Compare(typed) => compare::run(meant, typed),
        Command::Cluster(typed) => cluster::run(meant, typed),
        Command::Model(typed) => model::run(meant, typed),
        Command::Eval(typed) => eval::run(meant, typed),
        Command::Table(typed) => table::run(meant, typed),
        Command::Policy(typed) => policy::run(meant, typed),
        Command::Calibrate(typed) => calibrate::run(meant, typed),
        Command::Clock(typed) => clock::run(meant, *typed),
        Command::Config(typed) => config::run(meant, typed),
        Command::Access(typed) => access::run(meant, typed),
        Command::Schedule(typed) => schedule::run(meant, typed),
        Command::Bench(typed) => bench::run(meant, typed),
        Command::Train(typed) => train::run(meant, typed),
    }
}

/// A distance or score as JSON shows it: f32 has seven digits, and the f64 of 1.14 would print seventeen.
fn round(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

/// The distance up to which a unit accepts a face at the loosest: the floor of its threshold.
fn door_distance(embedder: &EmbedderMeta) -> f32 {
    let policy = Policy::for_model(embedder.metric, embedder.threshold_distance);
    embedder.metric.distance(policy.threshold.0)
}

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, or yes.
    Yes,
    /// Done, and the answer is no.
    No,
}
