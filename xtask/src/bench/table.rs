//! The page of a run: what was measured, as tables.

use super::figures::Line;
use super::peers::{Measured, Run, Side};
use super::plot::{self, Plot};
use super::workloads::{Picture, Workload};
use std::fmt::Write as _;

/// One line about one workload.
pub(super) fn progress(one: &Measured) -> String {
    let mut line = format!("{:<62} {:>9} ms", one.workload.label(), number(one.ours.ms()));
    let sides = [("onnxruntime", &one.onnxruntime), ("facenet-pytorch", &one.facenet_pytorch)];
    for (name, side) in sides {
        if let Some(side) = side {
            let _ =
                write!(line, ", {name} {} ({:.2})", number(side.ms()), side.ratio_of(&one.ours));
        }
    }
    line
}

/// The whole page.
pub(super) fn page(run: &Run) -> String {
    let simd = run.measured.first().map_or("", |one| one.ours.text("simd"));
    let mut page = format!(
        "# The CPU engine beside its peers\n\nWritten by `{}`.\n\n{}\n\
         Peers, from PyPI: {}.\nOurs runs on {simd}.\n\n\
         {} turns; in each, all sides in succession make {} calls after a warm one (three times as many where a call takes \
         milliseconds), and what counts is the median.\n\
         Times are the median of the turns in milliseconds; a ratio is ours over the peer's, the median of the turns' \
         own: under 1, ours is quicker.\n\
         Other work on the machine disturbs two threads most, since a layer ends with its last part.\n",
        run.effort.command,
        run.made,
        run.peers.join("; "),
        run.effort.turns,
        run.effort.calls,
    );
    for missing in &run.missing {
        let _ = write!(page, "\nNot measured: {missing}.\n");
    }
    for differ in run.disagreements() {
        let _ = write!(page, "\nMissed: another number of faces in {differ}.\n");
    }
    page.push_str(
        "\n## Detection\n\nFrames of 4 x 3 faces made of photos; both sides read the same file, and reading is not timed.\n\
         The cascade on onnxruntime has facenet-pytorch's semantics in numpy and OpenCV (`cascade.py`), its networks our \
         detector's weights; *inside* is the part of its time that is spent in onnxruntime itself.\n\
         facenet-pytorch runs as it is, with landmarks, on torch's CPU kernels; the CUDA libraries that torch's wheel \
         wants to see are empty stand-ins (`cuda_stand_ins.py`), which nothing calls.\n\n\
         | frame | min face | threads | faces: ours, cascade, facenet-pytorch | ours | cascade | inside | ratio | facenet-pytorch | ratio |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for one in &run.measured {
        if let Workload::Detection { picture: Picture::Full([w, h]), min_face, threads } =
            one.workload
        {
            let inside = one.onnxruntime.as_ref().map(|side| side.figure("run_ms"));
            let faces = [Some(&one.ours), one.onnxruntime.as_ref(), one.facenet_pytorch.as_ref()];
            let faces = faces
                .map(|side| shown(side.map(|side| side.figure("faces")), |n| format!("{n:.0}")));
            let _ = writeln!(
                page,
                "| {w}x{h} | {min_face} | {threads} | {} | {} | {} | {} | {} |",
                faces.join(", "),
                number(one.ours.ms()),
                shown(one.onnxruntime.as_ref().map(Side::ms), number),
                shown(inside, number),
                theirs(one),
            );
        }
    }
    networks(&mut page, run);
    starts(&mut page, run);
    growth(&mut page, run);
    page
}

/// The last three cells of a detection: onnxruntime's ratio, facenet-pytorch's time and ratio.
fn theirs(one: &Measured) -> String {
    let ratio = |side: &Option<Side>| {
        shown(side.as_ref().map(|side| side.ratio_of(&one.ours)), |ratio| format!("{ratio:.2}"))
    };
    format!(
        "{} | {} | {}",
        ratio(&one.onnxruntime),
        shown(one.facenet_pytorch.as_ref().map(Side::ms), number),
        ratio(&one.facenet_pytorch)
    )
}

fn networks(page: &mut String, run: &Run) {
    page.push_str(
        "\n## Networks\n\nThe same layers on all sides, with random weights; onnxruntime's from the definition that \
         `threshold model layers` prints, with fixed shapes.\n\n\
         ![Ratios of the networks](cpu-peers-networks.svg)\n\n\
         | network | at a time | threads | ours | GFLOP/s | onnxruntime | ratio | facenet-pytorch | ratio |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for one in &run.measured {
        if let Workload::Network { network, size, items, threads } = one.workload {
            let size = size.map(|[w, h]| format!(" {w}x{h}")).unwrap_or_default();
            let _ = writeln!(
                page,
                "| {}{size} | {items} | {threads} | {} | {:.0} | {} | {} |",
                plot::title(network),
                number(one.ours.ms()),
                one.ours.figure("gflop_per_s"),
                shown(one.onnxruntime.as_ref().map(Side::ms), number),
                theirs(one),
            );
        }
    }
}

fn starts(page: &mut String, run: &Run) {
    page.push_str(
        "\n## Cold start\n\nOurs: the whole process, from the pack's file, which is read and checked, to the first result. onnxruntime: from the model's bytes in \
         memory to the first result, in a process that runs.\n\n\
         | network | ours | onnxruntime | ratio |\n| --- | --- | --- | --- |\n",
    );
    for one in &run.measured {
        if let Workload::Start { network, .. } = one.workload {
            let side = one.onnxruntime.as_ref();
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                plot::title(network),
                number(one.ours.ms()),
                shown(side.map(Side::ms), number),
                shown(side.map(|side| side.ratio_of(&one.ours)), |ratio| format!("{ratio:.2}")),
            );
        }
    }
}

fn growth(page: &mut String, run: &Run) {
    page.push_str(
        "\n## Growth\n\nOne thread; a straight line by least squares through the measured points, and the share of the \
         variance that it explains.\n",
    );
    for Plot { file, title, unit, series, .. } in plot::growths(run) {
        let _ = write!(
            page,
            "\n![{title}]({file})\n\n| {title} | ms at 0 | ms per {unit} | r² |\n| --- | --- | --- | --- |\n"
        );
        for one in series {
            let line = Line::through(&one.points);
            let cell = |of: fn(Line) -> f64| shown(line.map(of), number);
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                one.name,
                cell(|line| line.start),
                cell(|line| line.slope),
                shown(line, |line| format!("{:.4}", line.r2)),
            );
        }
    }
}

fn shown<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "—".to_owned(), text)
}

/// A number with three digits or more, and no more than two after the point.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [(0.512, "0.51"), (9.994, "9.99"), (12.34, "12.3"), (-250.2, "-250")] {
            assert_eq!(number(value), text);
        }
    }
}
