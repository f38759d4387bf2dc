//! What ptxas says of each kernel that it assembles, and the refusal of those that spill.
//!
//! The log is that of the very call that made the image, so the figures are those of the code that ships: NVRTC passes
//! its assembler's words on with `--ptxas-options=-v`, nvcc with `-Xptxas -v`.
//! Refuses every line that it does not know: a warning is one, so a compiler's warning fails the compilation.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one kernel needs on one target. Dynamic shared memory is the launcher's choice and not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Registers per thread.
    pub(super) registers: u32,
    /// Static shared memory of a block; kernels use dynamic alone, so it is 0 for all that keep to the house's style.
    pub(super) shared_bytes: u32,
    /// Local memory of a thread: arrays with a computed index, spills, calls.
    pub(super) local_bytes: u32,
    /// What a thread writes because registers did not suffice.
    pub(super) spill_store_bytes: u32,
    /// What it reads back.
    pub(super) spill_load_bytes: u32,
}

/// The figures by kernel.
pub(super) type Kernels = BTreeMap<String, Figures>;

/// Reads ptxas's log.
///
/// # Errors
/// If a line is not one of ptxas's figures, as a warning is not, or the log names no kernel.
pub(super) fn read(log: &str) -> Result<Kernels> {
    let mut kernels = Kernels::new();
    let mut kernel: Option<&mut Figures> = None;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        // NVRTC writes `ptxas info    : ` and, before the spills, `ptxas         .     `; nvcc only indents the latter.
        let said = match line.split_once("info    : ") {
            Some(("ptxas ", said)) => said,
            _ => line.strip_prefix("ptxas         .").unwrap_or(line).trim_start(),
        };
        if let Some(rest) = said.strip_prefix("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default();
            kernel = Some(kernels.entry(name.to_owned()).or_default());
        } else if said.contains(" bytes stack frame, ") {
            // A function that was not inlined has its own line, after its caller's.
            let kernel = kernel.as_mut().with_context(|| format!("no kernel before: {line}"))?;
            kernel.spill_store_bytes += number_before(said, " bytes spill stores")?;
            kernel.spill_load_bytes += number_before(said, " bytes spill loads")?;
        } else if said.starts_with("Used ") {
            let kernel = kernel.as_mut().with_context(|| format!("no kernel before: {line}"))?;
            kernel.registers = number_before(said, " registers")?;
            kernel.shared_bytes = number_before(said, " bytes smem").unwrap_or(0);
            kernel.local_bytes = number_before(said, " bytes cumulative stack size").unwrap_or(0);
        } else if !said.starts_with("Function properties for ")
            && !said.starts_with("Compile time = ")
            && !said.contains(" bytes gmem")
        {
            bail!("the compiler warns:\n{log}");
        }
    }
    if kernels.is_empty() || kernels.values().any(|kernel| kernel.registers == 0) {
        bail!("the compiler gave no figures of a kernel; it said:\n{log}");
    }
    Ok(kernels)
}

fn number_before(said: &str, unit: &str) -> Result<u32> {
    let before = said.split_once(unit).with_context(|| format!("no{unit} in: {said}"))?.0;
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().with_context(|| format!("no number before{unit} in: {said}"))
}

/// Refuses an op whose kernels spill.
///
/// # Errors
/// Names every kernel that spills and every target that it spills on, with its figures.
pub(super) fn refuse_spills<'a>(
    targets: impl Iterator<Item = (&'a str, &'a Kernels)>,
) -> Result<()> {
    let mut spills = Vec::new();
    for (target, kernels) in targets {
        for (name, figures) in kernels {
            if figures.spill_store_bytes + figures.spill_load_bytes > 0 {
                spills.push(format!(
                    "kernel {name} spills on {target}: {} bytes stored, {} loaded, with {} registers",
                    figures.spill_store_bytes, figures.spill_load_bytes, figures.registers
                ));
            }
        }
    }
    if !spills.is_empty() {
        bail!(
            "{}; give it a smaller tile, or fewer threads, which leaves each more registers",
            spills.join("; ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    /// NVRTC 12.6.85's own words on two kernels, the first with a function that was not inlined.
    const OF_NVRTC: &str = "ptxas info    : 24 bytes gmem, 64 bytes cmem[3], 8 bytes cmem[4]
ptxas info    : Compiling entry function 'calls' for 'sm_87'
ptxas info    : Function properties for calls
ptxas         .     192 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers, 192 bytes cumulative stack size, 364 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Function properties for _Z6helperPfi
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function 'other' for 'sm_87'
ptxas info    : Function properties for other
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 9 registers, used 1 barriers, 256 bytes smem, 376 bytes cmem[0]

";

    /// nvcc 13.0.88's on the planted kernel.
    const OF_NVCC: &str = "ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'planted' for 'sm_110'
ptxas info    : Function properties for planted
    160 bytes stack frame, 156 bytes spill stores, 152 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 160 bytes cumulative stack size
ptxas info    : Compile time = 19.584 ms
";

    #[test]
    fn reads_the_words_of_both_compilers() {
        let kernels = read(OF_NVRTC).unwrap();
        let calls = Figures { registers: 40, local_bytes: 192, ..Figures::default() };
        let other = Figures { registers: 9, shared_bytes: 256, ..Figures::default() };
        assert_eq!(kernels, Kernels::from([("calls".into(), calls), ("other".into(), other)]));
        assert!(refuse_spills([("sm_87", &kernels)].into_iter()).is_ok());
        let spills = Figures {
            registers: 64,
            shared_bytes: 0,
            local_bytes: 160,
            spill_store_bytes: 156,
            spill_load_bytes: 152,
        };
        assert_eq!(read(OF_NVCC).unwrap(), Kernels::from([("planted".into(), spills)]));
    }

    #[test]
    fn a_spill_is_refused_by_the_kernels_name() {
        let kernels = read(OF_NVCC).unwrap();
        let error = refuse_spills([("sm_90", &kernels), ("sm_110", &kernels)].into_iter());
        let error = error.unwrap_err().to_string();
        for target in ["sm_90", "sm_110"] {
            let figures = "156 bytes stored, 152 loaded, with 64 registers; ";
            let said = format!("kernel planted spills on {target}: {figures}");
            assert!(error.contains(&said), "{error}");
        }
    }

    #[test]
    fn a_spill_of_a_function_that_was_not_inlined_is_the_kernels() {
        let after_helper = "_Z6helperPfi\nptxas         .     0 bytes stack frame, 0 bytes spill";
        let spilling = after_helper.replace("0 bytes spill", "8 bytes spill");
        let kernels = read(&OF_NVRTC.replace(after_helper, &spilling)).unwrap();
        assert_eq!(kernels["calls"].spill_store_bytes, 8);
        assert!(refuse_spills([("sm_87", &kernels)].into_iter()).is_err());
    }

    #[test]
    fn a_warning_is_refused() {
        let warning = "pnet.cu(1): warning #177-D: variable \"r_x\" was declared but never used\n";
        for log in [format!("{warning}{OF_NVRTC}"), format!("{OF_NVCC}{warning}")] {
            assert!(read(&log).unwrap_err().to_string().contains("#177-D"));
        }
    }

    #[test]
    fn a_log_without_figures_is_refused() {
        let cut = OF_NVRTC.find("ptxas info    : Used 9").unwrap();
        for log in ["", "ptxas info    : 0 bytes gmem\n", &OF_NVRTC[..cut]] {
            assert!(read(log).is_err(), "{log}");
        }
    }
}
