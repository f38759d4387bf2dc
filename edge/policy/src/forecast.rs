//! What a threshold means at this door: how many strangers come in, how many people are turned away.
//!
//! Owns the arithmetic from a model's distributions to a forecast, the threshold that a target asks for, and whether a
//! unit may compare one face with everybody (1:N) at all. Pure: no clock, no allocation, no gallery.
//! Refuses to promise what was not measured: a threshold whose FMR lies more than a decade beyond the model's
//! measurement arms nothing.
//! FMR and FNMR count comparisons of one probe with one template; FPIR and FNIR count visits at N people.
//!
//! What is assumed, and on which side it errs:
//! - A search of N people with t templates each is N e comparisons that err independently: `1 - (1 - FMR)^(N e)`, where e is as
//!   many independent comparisons as the best of t templates of one person errs, which was measured with the distances (1 to t).
//!   A stranger's comparisons with several people err together too, so the true rate is lower.
//! - Where two frames or more must agree (k >= 2), a visit counts as one search: frames of one visit are alike, so a second
//!   look brings little that is new. Certain is only Markov's bound, `frames_limit / k` times that; the evaluation
//!   measures what it really is. With k = 1 every frame is another chance, and `frames_limit` searches are counted.
//! - The margin and a second template only ever lower the rate of strangers, and they are left out. What the margin costs
//!   the people who are enrolled is left out too: it needs somebody who looks like them in the gallery.
//! - A visit of somebody enrolled is one comparison: further templates and frames only help.

use crate::Policy;
use core::f64::consts::LN_10;
use core::fmt;
use threshold_record::distribution::{GENUINE_FNMR, N_IMPOSTOR, impostor_fmr};
use threshold_record::{
    Distributions, MAX_SLOTS, Metric, Quantile, Score, Threshold, ThresholdRule,
};

/// Days in a mean month.
pub const DAYS_A_MONTH: f64 = 30.4375;

/// The smallest FMR that a unit arms on: one decade beyond what the distributions measure, 1e-5.
pub const FMR_LEAST: f64 = 1e-6;

/// The door that is forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    /// People in the gallery: N.
    pub people: u32,
    /// Templates of each, on average: t.
    pub templates_each: f64,
    /// Visits of people who are not in the gallery, a day.
    pub strangers_a_day: f64,
    /// Visits of people who are, a day.
    pub visits_a_day: f64,
}

/// What the administrator asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// How many strangers may come in.
    pub admissions: Admissions,
    /// The largest part of the enrolled people's visits that may be refused.
    pub fnir: f64,
}

/// How many strangers may come in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Admissions {
    /// This part of their visits.
    Fpir(f64),
    /// One in so many months, at the site's strangers a day.
    OneInMonths(f64),
}

impl Target {
    /// The largest part of the people's visits that is refused by default: above one in twenty, people prop doors open.
    pub const FNIR: f64 = 0.05;

    /// The FPIR asked for, at most [`ThresholdRule::FPIR_MOST`]; 0 for a target that is no number.
    #[must_use]
    pub fn fpir(&self, site: &Site) -> f64 {
        let fpir = match self.admissions {
            Admissions::Fpir(fpir) => fpir,
            Admissions::OneInMonths(months) => 1.0 / (months * DAYS_A_MONTH * site.strangers_a_day),
        };
        if fpir >= 0.0 { fpir.min(ThresholdRule::FPIR_MOST) } else { 0.0 }
    }
}

/// FPIR from which on forecasts were compared with simulated attempts.
const TRIED_FROM: f64 = 0.003;

/// A rate or count: as measured, and the ends that the distributions' intervals allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// From the distances measured.
    pub at: f64,
    /// From the friendlier ends.
    pub low: f64,
    /// From the less friendly ends.
    pub high: f64,
}

impl Range {
    /// Within which other groups of as many people are to lie in 19 of 20 cases, and lay in 29 of 36 that were tried, and
    /// below in the others (one template or three, one frame or three of five, FPIR 0.003 to 0.03: docs/evaluation-identify.md): the ends above are those of the people who were
    /// measured, and others differ from everybody as much again. That is the ends' ratios to the power of the root of 2, here 3/2, since
    /// core has no power. Measured by halving the fit half: ARCHITECTURE, the threshold.
    #[must_use]
    pub fn of_other_people(self) -> Self {
        let wider = |end: f64| {
            let ratio = end / self.at;
            self.at * ratio * root(ratio)
        };
        // A rate of nothing has no ratio.
        match self.at > 0.0 {
            true => Self { at: self.at, low: wider(self.low), high: wider(self.high) },
            false => self,
        }
    }

    fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { at: of(self.at), low: of(self.low), high: of(self.high) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, low, high } = self;
        match *at {
            at if at >= 0.1 => write!(f, "{at:.2} ({low:.2} to {high:.2})"),
            _ => write!(f, "{at:.1e} ({low:.1e} to {high:.1e})"),
        }
    }
}

/// What the distances at a threshold rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Within the table.
    Measured,
    /// Up to a decade beyond it, by the fitted tail.
    Extrapolated,
    /// Further: nobody knows.
    Beyond,
}

/// What is to be expected at a site with a policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Part of the comparisons of two people that are accepted.
    pub fmr: Range,
    /// Part of the strangers' visits that end in an admission, at the site's N.
    pub fpir: Range,
    /// Part of the enrolled people's visits that are refused.
    pub fnir: Range,
    /// Strangers admitted in a month.
    pub false_admissions_a_month: Range,
    /// Enrolled people refused in a day.
    pub false_refusals_a_day: Range,
    /// What it rests on.
    pub basis: Basis,
}

/// Which end of the distributions' intervals is taken.
#[derive(Clone, Copy)]
enum End {
    At,
    Low,
    High,
}

/// A model's distances, for one end of their intervals of the rate.
struct Curve<'a> {
    distributions: &'a Distributions,
    end: End,
}

impl Curve<'_> {
    /// The more of the impostors lie below a distance, the nearer their quantiles are: the rate's high end is the
    /// distances' low one.
    fn impostor(&self, knot: usize) -> f64 {
        let one = self.distributions.impostor.get(knot).copied();
        let Quantile { at, low, high } = one.unwrap_or(Quantile { at: 0.0, low: 0.0, high: 0.0 });
        f64::from(match self.end {
            End::At => at,
            End::Low => high,
            End::High => low,
        })
    }

    /// FMR of comparisons accepted up to a distance.
    fn fmr(&self, distance: f64) -> f64 {
        let last = N_IMPOSTOR - 1;
        let beyond = self.impostor(last) - distance;
        if beyond >= 0.0 {
            let Quantile { at, low, high } = self.distributions.tail;
            let decade = f64::from(match self.end {
                End::At => at,
                End::Low => low,
                End::High => high,
            });
            return impostor_fmr(last) * ten_to_the_minus(beyond / decade);
        }
        // The first knot at or below the distance; above the first, its segment goes on.
        let knot = (1..N_IMPOSTOR).find(|&knot| self.impostor(knot) <= distance).unwrap_or(last);
        let (far, near) = (self.impostor(knot - 1), self.impostor(knot));
        let part = if far > near { (distance - near) / (far - near) } else { 1.0 };
        // Half a decade from knot to knot; the looser knot's rate divided, so that the power stays one of 10 to minus.
        let below = (1.0 - part) * 0.5;
        match below >= 0.0 {
            true => impostor_fmr(knot - 1) * ten_to_the_minus(below),
            false => (impostor_fmr(knot - 1) / ten_to_the_minus(-below)).min(1.0),
        }
    }

    /// As many independent comparisons the best of so many templates of one person errs as. Between two whole numbers some people
    /// have the one and some the other; beyond the last every template is a comparison of its own.
    fn templates(&self, each: f64) -> f64 {
        let mut before = 1.0;
        for (one, templates) in self.distributions.templates.iter().zip(2u8..) {
            let factor = f64::from(match self.end {
                End::At => one.at,
                End::Low => one.low,
                End::High => one.high,
            });
            let part = each - f64::from(templates - 1);
            if part <= 1.0 {
                return before + (factor - before) * part.max(0.0);
            }
            before = factor;
        }
        before + (each - f64::from(MAX_SLOTS)).max(0.0)
    }

    /// FNMR of comparisons accepted up to a distance; never below what the last knot says.
    fn fnmr(&self, distance: f64) -> f64 {
        let knot = |one: &Quantile| {
            f64::from(match self.end {
                End::At => one.at,
                End::Low => one.low,
                End::High => one.high,
            })
        };
        let mut before: Option<(f64, f64)> = None;
        for (one, next) in self.distributions.genuine.iter().map(knot).zip(GENUINE_FNMR) {
            if distance < one {
                // Nearer than the first knot nobody measured, so everybody is taken to be refused.
                return before.map_or(1.0, |(from, rate)| {
                    rate - (rate - next) * (distance - from) / (one - from)
                });
            }
            before = Some((one, next));
        }
        before.map_or(1.0, |(_, rate)| rate)
    }
}

/// `10^-x` for `x >= 0`. core has no `exp`: the whole decades are divided off, the rest is e's series at a sixteenth of the
/// exponent, below 0.15, where eight terms are good to 1e-11, and then squared four times.
fn ten_to_the_minus(x: f64) -> f64 {
    let whole = x.min(400.0) as u32;
    let y = (x.min(400.0) - f64::from(whole)) * LN_10 / 16.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..9 {
        term *= -y / f64::from(n);
        sum += term;
    }
    for _ in 0..4 {
        sum *= sum;
    }
    (0..whole).fold(sum, |power, _| power / 10.0)
}

/// The square root of a number that is not negative, by Newton's steps: core has none. They halve what a far start is off by, so that
/// 40 are enough for any ratio of two rates.
fn root(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return 0.0;
    }
    (0..40).fold(x.max(1.0), |root, _| (root + x / root) / 2.0)
}

/// The rate of at least one success in `n` independent trials.
fn at_least_once(rate: f64, n: u64) -> f64 {
    let (mut missed, mut base, mut left) = (1.0, 1.0 - rate.min(1.0), n);
    while left > 0 {
        if left & 1 == 1 {
            missed *= base;
        }
        base *= base;
        left >>= 1;
    }
    1.0 - missed
}

/// Independent comparisons that a search errs like.
fn comparisons(site: &Site, curve: &Curve<'_>) -> u64 {
    let all = f64::from(site.people) * curve.templates(site.templates_each);
    // Rounded up, but for what the mean's own rounding adds.
    (all + 0.999_999) as u64
}

/// Searches that a visit counts as; the header says why.
fn searches(policy: &Policy) -> f64 {
    if policy.frames_needed >= 2 { 1.0 } else { f64::from(policy.frames_limit.max(1)) }
}

fn fpir_at(distance: f64, curve: &Curve<'_>, policy: &Policy, site: &Site) -> f64 {
    let search = at_least_once(curve.fmr(distance), comparisons(site, curve));
    (search * searches(policy)).min(1.0)
}

/// What is to be expected at a site with a policy.
#[must_use]
pub fn forecast(
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    site: &Site,
) -> Forecast {
    let distance = f64::from(metric.distance(policy.threshold.0));
    let of = |rate: &dyn Fn(&Curve<'_>) -> f64| {
        let at = |end| rate(&Curve { distributions, end });
        Range { at: at(End::At), low: at(End::Low), high: at(End::High) }
    };
    let fmr = of(&|curve| curve.fmr(distance));
    let fpir = of(&|curve| fpir_at(distance, curve, policy, site));
    let fnir = of(&|curve| curve.fnmr(distance));
    let basis = match fmr.at {
        at if at >= impostor_fmr(N_IMPOSTOR - 1) => Basis::Measured,
        at if at >= FMR_LEAST => Basis::Extrapolated,
        _ => Basis::Beyond,
    };
    Forecast {
        fmr,
        fpir,
        fnir,
        false_admissions_a_month: fpir.map(|rate| rate * site.strangers_a_day * DAYS_A_MONTH),
        false_refusals_a_day: fnir.map(|rate| rate * site.visits_a_day),
        basis,
    }
}

/// The loosest threshold at which the forecast's FPIR, at its high end, keeps a target.
#[must_use]
pub fn threshold_for(
    target: &Target,
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    site: &Site,
) -> Threshold {
    let curve = Curve { distributions, end: End::High };
    loosest(target.fpir(site), policy, metric, &curve, site)
}

/// The threshold at which a search of one probe among so many people, one template of each, finds somebody although nobody is there in
/// this part of the cases, by the distances as measured.
pub(crate) fn threshold_of_search(
    wanted: f64,
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    people: u32,
) -> Threshold {
    let lone = Policy { frames_needed: 1, frames_window: 1, frames_limit: 1, ..*policy };
    let site = Site { people, templates_each: 1.0, strangers_a_day: 1.0, visits_a_day: 1.0 };
    loosest(wanted, &lone, metric, &Curve { distributions, end: End::At }, &site)
}

/// The loosest threshold at which FPIR is no more than wanted.
fn loosest(
    wanted: f64,
    policy: &Policy,
    metric: Metric,
    curve: &Curve<'_>,
    site: &Site,
) -> Threshold {
    // FPIR grows with the distance; 40 halvings of the longest distance are finer than an f32.
    let (mut near, mut far) = (0.0, 4.0);
    for _ in 0..40 {
        let middle = (near + far) / 2.0;
        match fpir_at(middle, curve, policy, site) <= wanted {
            true => near = middle,
            false => far = middle,
        }
    }
    // The score's rounding may have gone to the looser side by a step or two.
    let mut score = metric.score(near as f32);
    for _ in 0..4 {
        if fpir_at(f64::from(metric.distance(score)), curve, policy, site) <= wanted {
            break;
        }
        score = Score(score.0.next_up());
    }
    Threshold(score)
}

/// Whether a unit may compare one face with everybody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arming {
    /// It may, with this policy.
    Arms(Forecast),
    /// It may not.
    Refuses {
        /// What would happen if it did.
        forecast: Forecast,
        /// Why not.
        why: Why,
        /// What would help.
        help: Help,
    },
}

/// Why a unit does not compare one face with everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More strangers would come in than the target allows.
    TooManyAdmissions,
    /// The threshold lies further out than the model was measured.
    BeyondMeasurement,
    /// More of the enrolled people would be refused than the target allows.
    TooManyRefusals,
}

/// What would help a unit that refuses; another model may always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    /// To compare with one person only, who says who they are by badge or PIN.
    pub one_to_one: bool,
    /// To have no more people than this; 0 if no number helps.
    pub people_at_most: u32,
    /// To enrol more templates of each person: they are refused less then, which the evaluation measures and this forecast
    /// does not count; a looser `fnir` says that it is relied on.
    pub more_templates: bool,
}

/// Whether a unit may arm 1:N with the threshold that a target asks for; the policy's own is the loosest that it takes.
#[must_use]
pub fn arm(
    target: &Target,
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    site: &Site,
) -> (Policy, Arming) {
    let at = |people: u32| {
        let site = Site { people, ..*site };
        let Threshold(score) = threshold_for(target, policy, metric, distributions, &site);
        let score = if score > policy.threshold.0 { score } else { policy.threshold.0 };
        Policy { threshold: Threshold(score), ..*policy }
    };
    let refusal = |people: u32| {
        let site = Site { people, ..*site };
        refusal(target, &at(people), metric, distributions, &site)
    };
    (at(site.people), arming(refusal, site.people))
}

/// Whether a unit may arm 1:N with a policy as it is.
#[must_use]
pub fn judge(
    target: &Target,
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    site: &Site,
) -> Arming {
    let refusal =
        |people: u32| refusal(target, policy, metric, distributions, &Site { people, ..*site });
    arming(refusal, site.people)
}

/// The forecast, and what speaks against arming.
fn refusal(
    target: &Target,
    policy: &Policy,
    metric: Metric,
    distributions: &Distributions,
    site: &Site,
) -> (Forecast, Option<Why>) {
    let forecast = forecast(policy, metric, distributions, site);
    // Of a NaN this says no, so that one anywhere refuses.
    let keeps = |rate: f64, most: f64| rate <= most;
    let why = match () {
        () if forecast.basis == Basis::Beyond => Some(Why::BeyondMeasurement),
        () if !keeps(forecast.fpir.high, target.fpir(site)) => Some(Why::TooManyAdmissions),
        () if !keeps(forecast.fnir.at, target.fnir) => Some(Why::TooManyRefusals),
        () => None,
    };
    (forecast, why)
}

fn arming(refusal: impl Fn(u32) -> (Forecast, Option<Why>), people: u32) -> Arming {
    let (forecast, why) = refusal(people);
    let Some(why) = why else { return Arming::Arms(forecast) };
    let arms = |people: u32| refusal(people).1.is_none();
    let one_to_one = arms(1);
    // More people never help, so the largest number that arms lies between 1 and the number that does not.
    let (mut enough, mut too_many) = (u32::from(one_to_one), people.max(1));
    while one_to_one && too_many - enough > 1 {
        let middle = enough + (too_many - enough) / 2;
        match arms(middle) {
            true => enough = middle,
            false => too_many = middle,
        }
    }
    let more_templates = why == Why::TooManyRefusals;
    Arming::Refuses {
        forecast,
        why,
        help: Help { one_to_one, people_at_most: enough, more_templates },
    }
}

/// How a threshold follows from a target, in words.
#[derive(Clone, Copy, Debug)]
pub struct Derivation<'a> {
    /// What was asked for.
    pub target: &'a Target,
    /// The policy with the threshold.
    pub policy: &'a Policy,
    /// The model's metric.
    pub metric: Metric,
    /// How its distances fall.
    pub distributions: &'a Distributions,
    /// The door.
    pub site: &'a Site,
    /// What is to be expected.
    pub forecast: &'a Forecast,
}

impl fmt::Display for Derivation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, policy, metric, distributions, site, forecast } = self;
        let wanted = target.fpir(site);
        match target.admissions {
            Admissions::Fpir(_) => writeln!(f, "target: FPIR {wanted:.1e} of strangers' visits")?,
            Admissions::OneInMonths(months) => writeln!(
                f,
                "target: one false admission in {months} months at {} strangers a day: FPIR {wanted:.1e} of \
                 strangers' visits",
                site.strangers_a_day
            )?,
        }
        let (needed, window) = (policy.frames_needed, policy.frames_window);
        match searches(policy) {
            1.0 => writeln!(
                f,
                "a visit counts as one search ({needed} of {window} frames must agree, and frames of a visit are alike)"
            )?,
            n => writeln!(
                f,
                "a visit counts as {n} searches (one frame decides, {n} are looked at)"
            )?,
        }
        let per_search = comparisons(site, &Curve { distributions, end: End::High });
        let (people, each) = (site.people, site.templates_each);
        let all = f64::from(people) * each.max(1.0);
        // Rounded up; without std a number has no `ceil`.
        let whole = all as u64;
        let independent = whole + u64::from(all > whole as f64);
        match per_search < independent {
            true => writeln!(
                f,
                "a search is {per_search} comparisons, taken as independent ({people} people, {each} templates each, which err together \
                 as measured)"
            )?,
            false => writeln!(
                f,
                "a search is {per_search} comparisons ({people} people, {each} templates each), taken as independent"
            )?,
        }
        let at = match forecast.basis {
            Basis::Measured => "measured",
            Basis::Extrapolated => "extrapolated by the fitted tail, at most a decade",
            Basis::Beyond => "beyond what was measured",
        };
        write!(
            f,
            "threshold: distance {:.3} {}, score {}; FMR of comparisons there {} ({at}), its high end keeps the target",
            metric.distance(policy.threshold.0),
            metric.unit(),
            policy.threshold.0,
            forecast.fmr
        )
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "strangers admitted: {} a month (FPIR {})",
            self.false_admissions_a_month, self.fpir
        )?;
        let Range { low, high, .. } = self.fpir.of_other_people();
        let month = self.false_admissions_a_month.of_other_people();
        write!(
            f,
            "with other people than the model was measured on, FPIR lies between {low:.1e} and {:.1e} (strangers a month {:.1e} to {:.1e}) \
             in four of five cases that were tried; in the others fewer came in",
            high.min(1.0),
            month.low,
            month.high
        )?;
        writeln!(
            f,
            "{}",
            if self.fpir.at < TRIED_FROM {
                "; rates as low as this were never tried out"
            } else {
                ""
            }
        )?;
        write!(f, "people refused: {} a day (FNIR {})", self.false_refusals_a_day, self.fnir)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyAdmissions => "more strangers would come in than the target allows",
            Self::BeyondMeasurement => {
                "the threshold lies further out than this model was measured"
            }
            Self::TooManyRefusals => {
                "more of the enrolled people would be refused than the target allows"
            }
        })
    }
}

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.one_to_one {
            f.write_str("compare with one person (1:1, by badge or PIN); ")?;
        }
        if self.people_at_most > 1 {
            write!(f, "have at most {} people; ", self.people_at_most)?;
        }
        if self.more_templates {
            f.write_str("enrol more templates of each person; ")?;
        }
        f.write_str("take another model")
    }
}
