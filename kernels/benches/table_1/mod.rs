//! The paper's Table 1 on a device: the cascade's networks and Cascade CNN's over one window, three hundred times each.
//!
//! All six through the embedders' kernels, which know none of them, so that they are compared by their layers alone; the cascade's
//! three also through its own kernels. One pass after the other, each waited for; the window and the weights, which are drawn, lie
//! on the device.

use serde_json::{Value, json};
use std::time::Instant;
use threshold_kernels::device::Device;
use threshold_kernels::{Alone, CascadeNetwork, DeviceNetwork, KernelError, OneWindow, one_output};
use threshold_models::graph::{Cost, Graph};
use threshold_models::net::{self, PAPER_NETWORKS, PAPER_PASSES, PNET_CELL_PX};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::synthetic;

/// The networks take turns, so that whatever else the machine does is everybody's.
const TURNS: usize = 5;

type Pass<'a> = Box<dyn FnMut() -> Result<(), KernelError> + 'a>;

/// Seconds of [`PAPER_PASSES`] passes of each network, from as many of them, or from fewer.
pub(crate) fn measure<D: Device>(
    device: &D,
    alone: &Alone<D>,
    n_passes: usize,
) -> Result<Value, KernelError> {
    let n_passes = n_passes.clamp(1, PAPER_PASSES);
    let graphs: Vec<Graph> = PAPER_NETWORKS.iter().filter_map(|row| graph(row.network)).collect();
    let run: Vec<Graph> = graphs.iter().map(one_output).collect();
    let network = |graph| DeviceNetwork::new(device, graph, &synthetic::weights([graph]));
    let networks: Vec<_> = run.iter().map(network).collect::<Result<_, _>>()?;
    let (mut rows, mut passes) = (Vec::new(), Vec::<(usize, &str, Pass<'_>)>::new());
    for (at, ((graph, run), network)) in graphs.iter().zip(&run).zip(&networks).enumerate() {
        let mut timed = network.timed(device, 1, 1)?;
        let [macs, run_macs] = [graph, run].map(|graph| graph.costs().sum::<Cost>().macs);
        rows.push(json!({
            "network": graph.name(), "launches": timed.levels.len(), "macs": macs, "run_macs": run_macs,
        }));
        passes.push((at, "seconds", Box::new(move || Ok(timed.program.replay(device)?))));
        if let Some(mut own) = own_kernels(alone, graph)? {
            passes.push((at, "own_seconds", Box::new(move || Ok(own.replay()?))));
        }
    }
    let mut seconds = vec![Vec::new(); passes.len()];
    // The first turn warms up.
    for turn in 0..=TURNS {
        for ((_, _, pass), seconds) in passes.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            (0..n_passes).try_for_each(|_| pass())?;
            let each = start.elapsed().as_secs_f64() / n_passes as f64;
            seconds.extend((turn > 0).then_some(each * PAPER_PASSES as f64));
        }
    }
    for ((at, key, _), mut seconds) in passes.iter().zip(seconds) {
        seconds.sort_by(f64::total_cmp);
        rows[*at][*key] = seconds[TURNS / 2].into();
    }
    Ok(json!({"passes": n_passes, "turns": TURNS, "networks": rows}))
}

/// The table as a page has it.
pub(crate) fn page(table: &Value) -> String {
    let seconds = |value: &Value| value.as_f64().map_or_else(String::new, |s| format!("{s:.4}"));
    let mut page = format!(
        "\nThe paper's Table 1: {PAPER_PASSES} passes of one window, from {} in a row; all by the embedders' kernels, the cascade's also by \
         its own.\n\n\
         | network | paper s | here s | by its own kernels s | launches |\n| --- | --- | --- | --- | --- |\n",
        table["passes"]
    );
    for (paper, row) in
        PAPER_NETWORKS.iter().zip(table["networks"].as_array().into_iter().flatten())
    {
        page += &format!(
            "| {} | {:.3} | {} | {} | {} |\n",
            paper.network,
            paper.seconds,
            seconds(&row["seconds"]),
            seconds(&row["own_seconds"]),
            row["launches"],
        );
    }
    page
}

/// A network of the table by its name there.
fn graph(name: &str) -> Option<Graph> {
    let pnet = net::pnet(PNET_CELL_PX, PNET_CELL_PX);
    let all = [net::net12(), pnet, net::net24(), net::rnet(), net::net48(), net::onet()];
    all.into_iter().find(|graph| graph.name() == name)
}

/// The same by the cascade's own kernels, if it is one of the cascade's.
fn own_kernels<'a, D: Device>(
    alone: &'a Alone<D>,
    graph: &Graph,
) -> Result<Option<OneWindow<'a, D>>, KernelError> {
    let network = match graph.name() {
        "P-Net" => CascadeNetwork::Proposals,
        "R-Net" => CascadeNetwork::Refinement,
        "O-Net" => CascadeNetwork::Output,
        _ => return Ok(None),
    };
    let side = graph.shape(graph.input()).h;
    let noise: Vec<u8> = (0..side * side).map(|i| (i * 37) as u8).collect();
    let size = [side; 2];
    let Ok(window) = RawFrame::new(PixelFormat::Grey, size, side, Colour::default(), &noise) else {
        unreachable!("a byte for each pixel");
    };
    Ok(Some(alone.stages().one_window(network, &window)?))
}
