//! What is measured, forecast or settled about a threshold, as typed: `policy`, `eval`, `bench`.

use super::{NetworkName, min_face};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// False admissions a month and false refusals a day, and whether a unit may compare one face with everybody
    Forecast(Forecast),
    /// Show how the unit's threshold comes about, and what is to be expected of it
    Show,
    /// Settle how the unit's threshold comes about; takes an owner
    Set(PolicySet),
    /// Settle with whom a face is compared; takes an owner
    Mode {
        /// With everybody, with whom a credential names, or both
        mode: ModeName,
    },
    /// Acknowledge that a photo opens this door, without which a unit lets nobody in; takes an owner
    Acknowledge(Acknowledge),
    /// Take that back: the unit lets nobody in; takes an owner
    Withdraw,
    /// Admit the same person again only after so many minutes (anti-passback), 0 for at once; takes an owner
    Passback {
        /// Minutes, at most a day
        #[arg(value_parser = clap::value_parser!(u16).range(0..=1440))]
        minutes: u16,
    },
    /// Admit so many times more while the medium of the unit's log is full, 0 for never; without a number, show it; takes an owner
    Reserve {
        /// Admissions, at most 100
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        admissions: Option<u8>,
    },
}

/// `policy mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// A face is compared with everybody (1:N); credentials say nothing
    Identify,
    /// A face is compared with the one whom a badge or number names (1:1); a face alone opens nothing
    Verify,
    /// With the one whom a badge or number names, and without one with everybody
    Both,
}

/// `policy acknowledge`
#[derive(Args, Clone, Copy, Debug)]
pub struct Acknowledge {
    /// I know it, and want the unit to let people in all the same
    #[arg(long)]
    pub photo_opens_this_door: bool,
}

/// `policy set`
#[derive(Args, Clone, Copy, Debug)]
pub struct PolicySet {
    /// At most this part of strangers' visits admitted, as 1e-3; the unit derives the threshold
    #[arg(long, value_name = "FPIR", value_parser = part, conflicts_with_all = ["threshold", "months"], required_unless_present_any = ["threshold", "months"])]
    pub target: Option<f64>,
    /// At most one false admission in so many months, at --strangers-per-day; the unit is given the part of visits that this comes to
    #[arg(long, value_name = "MONTHS", value_parser = above_zero, conflicts_with = "threshold", requires = "strangers_per_day")]
    pub months: Option<f64>,
    /// Visits of people who are not enrolled
    #[arg(long, value_name = "COUNT", value_parser = above_zero, requires = "months")]
    pub strangers_per_day: Option<f64>,
    /// A fixed score instead, whatever the gallery holds; takes --accept-risk
    #[arg(long, value_name = "SCORE", requires = "accept_risk")]
    pub threshold: Option<f32>,
    /// Strangers may be admitted more often than any target allows
    #[arg(long, requires = "threshold")]
    pub accept_risk: bool,
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

/// `calibrate`
#[derive(Args, Clone, Debug)]
pub struct Calibrate {
    /// Put what it comes to in force: the threshold is not below it from then on
    #[arg(long)]
    pub apply: bool,
    /// Leave out entries of the log that were no stranger's; up to 16
    #[arg(long, value_name = "SEQUENCE", num_args = 1..=16, action = clap::ArgAction::Set)]
    pub except: Vec<u64>,
    /// Take the calibration in force away
    #[arg(long, conflicts_with_all = ["apply", "except"])]
    pub drop: bool,
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
    /// Grouping of all pictures, as `cluster` does it: pairwise F-measure
    Cluster(EvalCluster),
    /// The policy's forecast beside attempts simulated on people whom it never saw
    Forecast(EvalForecast),
    /// What a calibration does at doors simulated with people whom it never saw
    Calibrate(EvalCalibrate),
    /// Average precision of the detector on WIDER FACE
    Detection(Detection),
    /// Landmarks against a reference
    Landmarks(Landmarks),
    /// How many good and bad pictures the quality gate takes, and for which cause it refuses the others
    Quality(EvalQuality),
    /// Attacks that pass and people who do not (APCER, BPCER), by whatever presentation-attack detector is installed
    Pad(EvalPad),
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
    /// A page; it has the worst pairs as pictures
    #[command(flatten)]
    pub page: Page,
}

/// A page of an evaluation.
#[derive(Args, Clone, Debug, Default)]
pub struct Page {
    /// Also write a page with plots that needs nothing but itself, and the JSON beside it
    #[arg(long, value_name = "FILE", value_parser = html_file)]
    pub html: Option<PathBuf>,
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
    /// Of what
    #[command(flatten)]
    pub of: Halved,
    /// A page
    #[command(flatten)]
    pub page: Page,
    /// The folder of the data set: the page shows the worst pairs as pictures
    #[arg(long, value_name = "FOLDER", requires = "html")]
    pub images: Option<PathBuf>,
}

/// `eval cluster`
#[derive(Args, Debug)]
pub struct EvalCluster {
    /// Of what
    #[command(flatten)]
    pub of: Halved,
    /// A page
    #[command(flatten)]
    pub page: Page,
}

/// What `eval verify` and `eval cluster` are of
#[derive(Args, Debug)]
pub struct Halved {
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
    /// Whose pictures: figures are of check, rules are chosen on fit
    #[arg(long, value_enum, value_name = "HALF", default_value = "check")]
    pub half: HalfName,
    /// A page
    #[command(flatten)]
    pub page: Page,
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
    /// Whose attempts: those of check were never seen, those of fit are by the people whose distances the forecast has, and tell how
    /// much of a difference is the forecast's own
    #[arg(long, value_enum, value_name = "HALF", default_value = "check")]
    pub half: HalfName,
    /// A page
    #[command(flatten)]
    pub page: Page,
}

/// `eval calibrate`
#[derive(Args, Debug)]
pub struct EvalCalibrate {
    /// What `eval embed` wrote
    #[arg(long, value_name = "FILE")]
    pub embeddings: PathBuf,
    /// Doors of each row, at most; as many as there are people for
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub doors: u32,
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
    /// A page
    #[command(flatten)]
    pub page: Page,
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
    /// A page; it has the picture of the largest error
    #[command(flatten)]
    pub page: Page,
}

/// `eval quality`
#[derive(Args, Debug)]
pub struct EvalQuality {
    /// A folder of pictures that should be taken
    #[arg(long, value_name = "FOLDER")]
    pub good: Option<PathBuf>,
    /// A folder of pictures that should not; those below a folder named after a cause, as too_far, should be refused for it
    #[arg(long, value_name = "FOLDER", required_unless_present = "good")]
    pub bad: Option<PathBuf>,
    /// The smallest face that is looked for: enrolment from photos has 40, a door the unit's engine.min_face_px
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
    /// A page; it has the pictures that were judged wrongly
    #[command(flatten)]
    pub page: Page,
}

/// `eval pad`
#[derive(Args, Debug)]
pub struct EvalPad {
    /// The folder of presentations: `bona_fide` with pictures of live people, and a folder of pictures for each kind of attack
    #[arg(long, value_name = "FOLDER")]
    pub dir: PathBuf,
    /// The smallest face that is looked for, as the door's engine.min_face_px
    #[arg(long, value_name = "PX", default_value_t = 80, value_parser = min_face())]
    pub min_face: u32,
    /// A page
    #[command(flatten)]
    pub page: Page,
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
    /// What computes
    #[command(flatten)]
    pub on: On,
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
    /// What computes
    #[command(flatten)]
    pub on: On,
    /// How often and on what
    #[command(flatten)]
    pub turns: Turns,
}

/// What a benchmark of pictures runs on.
#[derive(Args, Clone, Debug)]
pub struct On {
    /// What computes
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = EngineName::Cpu)]
    pub engine: EngineName,
    /// The folder of CUDA kernels (default: `kernels` beside the program)
    #[arg(long, value_name = "DIR")]
    pub kernels: Option<PathBuf>,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The processor
    Cpu,
    /// The first NVIDIA card, in a build with `--features cuda`
    Cuda,
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

/// A count that may have a fraction, such as visits a day.
fn count(typed: &str) -> Result<f64, String> {
    let count = typed.parse().ok().filter(|count| (0.0..=1e6).contains(count));
    count.ok_or_else(|| "a number from 0 to 1000000".to_owned())
}

/// A count that is more than nothing.
fn above_zero(typed: &str) -> Result<f64, String> {
    let count = count(typed).ok().filter(|&count| count > 0.0);
    count.ok_or_else(|| "a number above 0, at most 1000000".to_owned())
}

/// A page's file.
fn html_file(typed: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(typed);
    let is_page = path.extension().is_some_and(|ending| ending == "html");
    is_page
        .then_some(path)
        .ok_or_else(|| "a page's name ends in .html; its JSON is put beside it".to_owned())
}

/// A part of a whole.
fn part(typed: &str) -> Result<f64, String> {
    let part = typed.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "a part from 0 to 1, as 0.003".to_owned())
}

/// `640x480` as width and height, each what P-Net can look at.
pub(super) fn level_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (12..=4096).contains(side));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| "width x height in pixels, each from 12 to 4096, as 640x480".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
