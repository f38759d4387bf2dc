//! `threshold model`: the packs at hand, what one is, and making packs of published weights.
//!
//! Owns the words about packs. Refuses to fetch by itself: archives, hashes and formats are `threshold_models::import`'s.

use super::{Answer, door_distance, layers, round};
use crate::args;
use crate::engines::Engines;
use crate::explain::short_id;
use crate::meant::{Choice, Meant};
use crate::say::table;
use serde_json::{Value, json};
use std::path::PathBuf;
use threshold_models::cpu::CpuEngine;
use threshold_models::crop::CropRule;
use threshold_models::import::{FetchOptions, Fetched, any, fetch};
use threshold_models::pack::{Network, Pack, PackDir, PackEntry, PackError, PackMeta};
use threshold_policy::Policy;
use threshold_record::ModelId;

/// Where FaceNet's weights are to be had, since no package registry carries them.
pub(crate) const FACENET_AT: &str = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt";

/// Shows or makes packs.
///
/// # Errors
/// A folder or file that cannot be read or written, weights that are not the published ones, a failed self-test.
pub fn run(meant: &Meant, typed: &args::Model) -> anyhow::Result<Answer> {
    match typed {
        args::Model::List => list(meant),
        args::Model::Info => info(meant),
        args::Model::Import(typed) => import(meant, typed),
        args::Model::Fetch => fetch_all(meant),
        args::Model::Layers(typed) => layers::run(meant, typed),
    }
}

fn list(meant: &Meant) -> anyhow::Result<Answer> {
    let engines = Engines::open(meant)?;
    let packs = engines.packs();
    let default = default_of(packs);
    let ids: Vec<ModelId> = packs.entries().iter().map(PackEntry::id).collect::<Result<_, _>>()?;
    let listed = || packs.entries().iter().zip(&ids);
    let values: Vec<Value> = listed()
        .map(|(entry, id)| {
            let mut value = meta_value(*id, &entry.meta);
            value["file"] = json!(entry.path.display().to_string());
            value["default"] = json!(Some(&entry.path) == default);
            value
        })
        .collect();
    let faults: Vec<String> = packs.faults().iter().map(ToString::to_string).collect();
    for fault in &faults {
        meant.say.warn(fault);
    }
    let folder = packs.path().display().to_string();
    let value = json!({ "folder": folder, "packs": values, "faults": faults });
    meant.say.result(&value, || {
        if packs.entries().is_empty() {
            return format!("no packs in {folder}: cargo xtask setup, or threshold model fetch");
        }
        let row = |(entry, id): (&PackEntry, &ModelId)| {
            let threshold = entry.meta.embedder.as_ref().map(|embedder| {
                format!("{} {}", embedder.threshold_distance, embedder.metric.unit())
            });
            vec![
                entry.meta.name.clone(),
                entry.meta.network.to_string(),
                id.tag().to_string(),
                threshold.unwrap_or_else(|| "finds faces".to_owned()),
                if Some(&entry.path) == default { "default" } else { "" }.to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = listed().map(row).collect();
        format!("{folder}\n{}", table(&["name", "network", "id", "threshold", ""], &rows))
    })?;
    Ok(Answer::Yes)
}

/// The embedder that is taken without `--model`, as `PackDir::default_embedder` has it.
fn default_of(packs: &PackDir) -> Option<&PathBuf> {
    let of = |network| packs.entries().iter().find(|entry| entry.meta.network == network);
    of(Network::InceptionResnetV1).or_else(|| of(Network::DlibResnet29)).map(|entry| &entry.path)
}

fn info(meant: &Meant) -> anyhow::Result<Answer> {
    let engines = Engines::open(meant)?;
    let pack = engines.pack(meant.model.as_ref())?;
    let tested = self_test(&engines, &pack, meant.threads);
    let mut value = meta_value(pack.id, &pack.meta);
    value["self_test"] = json!(if tested.is_ok() { "passed" } else { "failed" });
    meant.say.result(&value, || {
        let word = if tested.is_ok() { "passed" } else { "FAILED" };
        format!("{}\n  {:<12}{word}", meta_text(pack.id, &pack.meta), "self-test")
    })?;
    tested?;
    Ok(Answer::Yes)
}

/// Runs a pack's golden vectors through an engine; an embedder's engine needs the detector beside it.
fn self_test(engines: &Engines, pack: &Pack, threads: usize) -> Result<CpuEngine, PackError> {
    if pack.meta.network.is_detector() {
        return Engines::engine(pack, None, 20, threads);
    }
    Engines::engine(&engines.detector()?, Some(pack), 20, threads)
}

fn import(meant: &Meant, typed: &args::Import) -> anyhow::Result<Answer> {
    let folder = PackDir::locate(meant.packs.as_deref())?;
    meant.say.note(&format!("importing {}", typed.file.display()));
    let pack = any(&typed.file)?;
    let path = folder.join(format!("{}.pack", pack.meta.name));
    pack.write(&path)?;
    let mut value = meta_value(pack.id, &pack.meta);
    value["file"] = json!(path.display().to_string());
    meant.say.result(&value, || {
        format!("{}\n  {:<12}{}", meta_text(pack.id, &pack.meta), "file", path.display())
    })?;
    Ok(Answer::Yes)
}

fn fetch_all(meant: &Meant) -> anyhow::Result<Answer> {
    let packs = PackDir::locate(meant.packs.as_deref())?;
    let named = std::env::var_os("THRESHOLD_MODELS").filter(|value| !value.is_empty());
    let mut facenet: Vec<PathBuf> = named.map(PathBuf::from).into_iter().collect();
    if let Some(Choice::File(file)) = &meant.model {
        facenet.insert(0, file.clone());
    }
    let options = FetchOptions { packs, photos: None, facenet };
    let fetched = fetch(&options, &mut |line| meant.say.note(line))?;
    meant.say.result(&fetched_value(&fetched), || fetched_text(&fetched))?;
    Ok(Answer::Yes)
}

fn fetched_value(fetched: &Fetched) -> Value {
    let packs: Vec<Value> = fetched
        .packs
        .iter()
        .map(|pack| {
            let file = pack.path.display().to_string();
            json!({ "file": file, "id": pack.id.to_string(), "made": pack.made })
        })
        .collect();
    let facenet_at = fetched.no_facenet.as_ref().map(|_| FACENET_AT);
    json!({ "packs": packs, "no_facenet": fetched.no_facenet, "facenet_at": facenet_at })
}

fn fetched_text(fetched: &Fetched) -> String {
    let mut lines: Vec<String> = fetched
        .packs
        .iter()
        .map(|pack| {
            let word = if pack.made { "made " } else { "there" };
            format!("{word}  {}  (id {})", pack.path.display(), pack.id.tag())
        })
        .collect();
    if let Some(why) = &fetched.no_facenet {
        lines.push(why.clone());
        lines.push(format!("FaceNet's weights are at {FACENET_AT}"));
        lines.push("with them: threshold model import 20180402-114759-vggface2.pt".to_owned());
    }
    lines.join("\n")
}

/// The crop rule in words.
fn crop_text(crop: &CropRule) -> String {
    match crop {
        CropRule::SquaredBox { size_px, margin_px } => {
            format!("box squared about its centre, {margin_px} px margin, {size_px} px")
        }
        CropRule::Similarity { size_px, .. } => {
            format!("five landmarks laid on their places, {size_px} px")
        }
    }
}

fn meta_value(id: ModelId, meta: &PackMeta) -> Value {
    let embedder = meta.embedder.as_ref();
    json!({
        "name": meta.name,
        "network": meta.network.name(),
        "version": meta.version,
        "id": id.to_string(),
        "metric": embedder.map(|embedder| embedder.metric.unit()),
        "distance_threshold": embedder.map(|embedder| round(embedder.threshold_distance)),
        "score_threshold": embedder.map(|embedder| round(embedder.threshold().0.0)),
        "door_distance_threshold": embedder.map(|embedder| round(door_distance(embedder))),
        "door_score_threshold": embedder
            .map(|embedder| round(embedder.metric.score(door_distance(embedder)).0)),
        "threshold_source": embedder.map(|embedder| &embedder.threshold_source),
        "crop": embedder.map(|embedder| crop_text(&embedder.crop)),
        "embedding_len": embedder.map(|embedder| embedder.embedding_len),
        "licence": meta.licence,
        "source": meta.source.title,
        "source_digest": meta.source.digest,
        "golden": meta.golden.len(),
    })
}

fn meta_text(id: ModelId, meta: &PackMeta) -> String {
    let mut lines = vec![meta.name.clone()];
    let mut row = |head: &str, text: String| lines.push(format!("  {head:<12}{text}"));
    row("network", format!("{}, version {}", meta.network, meta.version));
    row("id", id.to_string());
    if let Some(embedder) = &meta.embedder {
        let (metric, distance) = (embedder.metric, embedder.threshold_distance);
        row("metric", format!("{}, {} components", metric.unit(), embedder.embedding_len));
        row(
            "threshold",
            format!(
                "distance {distance} {} or less, score {} or more ({})",
                metric.unit(),
                metric.score(distance),
                embedder.threshold_source
            ),
        );
        let door = door_distance(embedder);
        row(
            "at a door",
            format!(
                "distance {door:.3} {} or less, score {} or more (a unit's default, {:.0} % nearer)",
                metric.unit(),
                metric.score(door),
                Policy::STRICTER * 100.0
            ),
        );
        row("crop", crop_text(&embedder.crop));
    }
    row("source", format!("{} (digest {})", meta.source.title, short_id(&meta.source.digest)));
    row("licence", meta.licence.clone());
    row("golden", format!("{} inputs with their outputs", meta.golden.len()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_models::import::{FetchedPack, description};

    #[test]
    fn a_pack_is_told_with_metric_threshold_crop_and_licence() {
        let id = ModelId([7; 32]);
        let facenet = description(Network::InceptionResnetV1);
        let value = meta_value(id, &facenet);
        assert_eq!(
            (&value["metric"], &value["distance_threshold"]),
            (&json!("squared L2"), &json!(1.14))
        );
        assert_eq!(
            (&value["score_threshold"], &value["embedding_len"]),
            (&json!(0.43), &json!(512))
        );
        let text = meta_text(id, &facenet);
        assert_eq!(
            (&value["door_distance_threshold"], &value["door_score_threshold"]),
            (&json!(0.969), &json!(0.5155))
        );
        for part in [
            "distance 1.14 squared L2 or less, score 0.430",
            "distance 0.969 squared L2 or less",
            "15 % nearer",
            "32 px margin",
            "VGGFace2",
            "licence",
        ] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }

    #[test]
    fn a_detector_has_no_metric() {
        let mtcnn = description(Network::Mtcnn);
        assert_eq!(meta_value(ModelId([1; 32]), &mtcnn)["metric"], Value::Null);
        assert!(!meta_text(ModelId([1; 32]), &mtcnn).contains("threshold"));
    }

    #[test]
    fn a_fetch_without_facenet_says_where_its_weights_are() {
        let pack = FetchedPack { path: "x.pack".into(), id: ModelId([1; 32]), made: true };
        let mut fetched = Fetched { packs: vec![pack], ..Fetched::default() };
        assert!(!fetched_text(&fetched).contains(FACENET_AT));
        assert_eq!(fetched_value(&fetched)["facenet_at"], Value::Null);
        fetched.no_facenet = Some("no FaceNet weights".to_owned());
        assert!(fetched_text(&fetched).contains(FACENET_AT));
        assert_eq!(fetched_value(&fetched)["facenet_at"], FACENET_AT);
    }
}
