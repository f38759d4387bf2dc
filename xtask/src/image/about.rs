//! What a unit runs, written down beside it: a bill of materials as CycloneDX 1.5 and the licences with their texts.
//!
//! Owns which packages count: those that are linked into the unit's binary and into the launcher, as cargo resolves them for their
//! target and features, and what the compilers link beside them (`runtime`). What only runs while it is built (build scripts,
//! procedural macros) is in nobody's unit and not listed.
//! Refuses a time and a serial number, which CycloneDX lets one leave out: two makings are equal.

use super::runtime::{self, Runtime};
use crate::program::{cargo, output};
use crate::repository::root;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use threshold_models::pack::PackEntry;

/// The program that starts the right slot, of which the package `threshold-slots` is.
const LAUNCHER: &str = "threshold-launch";

/// A package by name and version.
type Package = (String, String);

/// The packages that are linked, each with those that it depends on; and what cargo knows of them.
pub(super) struct Materials {
    packages: BTreeMap<Package, BTreeSet<Package>>,
    unit: Package,
    /// The package that the launcher is of.
    launcher: Package,
    runtimes: Vec<Runtime>,
    metadata: BTreeMap<Package, Value>,
}

impl Materials {
    /// Those of the unit's binary, which has these features, and of the launcher.
    ///
    /// # Errors
    /// If cargo or rustc does not say, or knows nothing of one.
    pub(super) fn of_image(target: &str, features: &str) -> Result<Self> {
        let tree = |package: &str, features: &[&str]| {
            let mut tree = cargo(&["tree", "--locked", "-p", package, "--target", target]);
            tree.args(features).args(["--edges", "normal,no-proc-macro", "--no-dedupe"]);
            parse(&output(tree.args(["--prefix", "depth", "--format", " {p}"]))?)
        };
        let (mut packages, unit) = tree("threshold-edge", &["--features", features])?;
        let (launched, launcher) = tree("threshold-slots", &[])?;
        for (package, on) in launched {
            packages.entry(package).or_default().extend(on);
        }
        let runtimes = runtime::all()?;
        let said = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
        let mut said: Value = serde_json::from_str(&said).context("cargo metadata")?;
        let all = said["packages"].as_array_mut().context("cargo metadata names no packages")?;
        let metadata: BTreeMap<Package, Value> = all
            .drain(..)
            .map(|package| ((text(&package, "name"), text(&package, "version")), package))
            .collect();
        match packages.keys().find(|package| !metadata.contains_key(*package)) {
            Some((name, version)) => anyhow::bail!("cargo metadata knows no {name} {version}"),
            None => Ok(Self { packages, unit, launcher, runtimes, metadata }),
        }
    }

    /// The bill of materials, with the packs as models.
    ///
    /// # Errors
    /// If a pack cannot be read.
    pub(super) fn bill(&self, packs: &[&PackEntry]) -> Result<String> {
        let own = |package: &Package| self.metadata[package]["source"].is_null();
        let purl = |(name, version): &Package| format!("pkg:cargo/{name}@{version}");
        let component = |package: &Package| {
            let (name, version) = package;
            let licence = text(&self.metadata[package], "license").replace('/', " OR ");
            let mut component = json!({
                "type": if *package == self.unit { "application" } else { "library" },
                "bom-ref": purl(package), "name": name, "version": version,
                "licenses": [{ "expression": licence }],
            });
            // A package of this workspace is on no registry.
            if !own(package) {
                component["purl"] = purl(package).into();
            }
            component
        };
        let libraries = self.packages.keys().filter(|package| **package != self.unit);
        let mut components: Vec<Value> = libraries.map(component).collect();
        for pack in packs {
            components.push(json!({
                "type": "machine-learning-model", "name": name(&pack.path), "version": pack.meta.version,
                "hashes": [{ "alg": "BLAKE3", "content": pack.id()?.to_string() }],
                "licenses": [{ "license": { "name": pack.meta.licence } }],
                "description": pack.meta.source.title,
            }));
        }
        components.push(json!({
            "type": "application", "bom-ref": LAUNCHER, "name": LAUNCHER, "version": self.launcher.1,
            "licenses": [{ "expression": text(&self.metadata[&self.launcher], "license").replace('/', " OR ") }],
        }));
        for Runtime { name, version, licence, source, .. } in &self.runtimes {
            components.push(json!({
                "type": "library", "bom-ref": name, "name": name, "version": version,
                "licenses": [{ "expression": licence }], "description": format!("source: {source}"),
            }));
        }
        let in_unit = |runtime: &&Runtime| runtime.in_unit;
        let of_unit = self.runtimes.iter().filter(in_unit).map(|runtime| runtime.name.to_owned());
        let of_unit: Vec<String> = of_unit.collect();
        let depends = |(package, on): (&Package, &BTreeSet<Package>)| {
            let on = on.iter().map(purl);
            let runtimes = of_unit.iter().filter(|_| *package == self.unit).cloned();
            json!({ "ref": purl(package), "dependsOn": on.chain(runtimes).collect::<Vec<_>>() })
        };
        let launched = self.runtimes.iter().map(|runtime| runtime.name.to_owned());
        let launched: Vec<String> = [purl(&self.launcher)].into_iter().chain(launched).collect();
        let launched = json!({ "ref": LAUNCHER, "dependsOn": launched });
        let bill = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": { "component": component(&self.unit) },
            "components": components,
            "dependencies": self.packages.iter().map(depends).chain([launched]).collect::<Vec<_>>(),
        });
        Ok(serde_json::to_string_pretty(&bill)? + "\n")
    }

    /// The licences: a line for each package and pack, then each text that came with them, once.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn licences(&self, packs: &[&PackEntry]) -> Result<String> {
        let mut list = "What a Threshold unit runs, and under which licences.\n\n".to_owned();
        let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in self.packages.keys() {
            let (name, version) = package;
            let licence = text(&self.metadata[package], "license");
            writeln!(list, "{name} {version}: {licence}")?;
            let manifest = text(&self.metadata[package], "manifest_path");
            let own = self.metadata[package]["source"].is_null();
            let folder = if own { Some(root()) } else { parent(&manifest) };
            for text in folder.map(|folder| of_folder(&folder)).transpose()?.unwrap_or_default() {
                texts.entry(text).or_default().insert(format!("{name} {version}"));
            }
        }
        for Runtime { name, version, licence, source, in_unit, texts: of_it } in &self.runtimes {
            let place = if *in_unit { "threshold-edge and " } else { "" };
            let label = format!("{name} {version}");
            writeln!(
                list,
                "{}: {licence}, linked into {place}{LAUNCHER}; source: {source}",
                label.trim()
            )?;
            for text in of_it {
                texts.entry(text.clone()).or_default().insert(label.trim().to_owned());
            }
        }
        for pack in packs {
            writeln!(list, "{}: {}", name(&pack.path), pack.meta.licence)?;
        }
        // In the order of whom they are of, not of their words.
        let mut texts: Vec<(BTreeSet<String>, String)> =
            texts.into_iter().map(|(text, of)| (of, text)).collect();
        texts.sort();
        for (of, text) in texts {
            let of: Vec<String> = of.into_iter().collect();
            write!(list, "\n{}\n{}\n\n{}\n", "-".repeat(80), of.join(", "), text.trim_end())?;
        }
        Ok(list)
    }

    /// How many packages there are.
    pub(super) fn len(&self) -> usize {
        self.packages.len()
    }
}

/// Reads cargo's tree, `DEPTH name vVERSION` in each line: who depends on whom, and the root.
fn parse(tree: &str) -> Result<(BTreeMap<Package, BTreeSet<Package>>, Package)> {
    let mut packages: BTreeMap<Package, BTreeSet<Package>> = BTreeMap::new();
    let mut above: Vec<Package> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let mut word = || words.next().with_context(|| format!("cargo tree: {line:?}"));
        let depth: usize = word()?.parse().with_context(|| format!("cargo tree: {line:?}"))?;
        let package = (word()?.to_owned(), word()?.trim_start_matches('v').to_owned());
        ensure!(depth <= above.len(), "cargo tree: {line:?} hangs on nothing");
        above.truncate(depth);
        if let Some(parent) = above.last() {
            packages.entry(parent.clone()).or_default().insert(package.clone());
        }
        packages.entry(package.clone()).or_default();
        above.push(package);
    }
    let unit = above.into_iter().next().context("cargo tree is empty")?;
    Ok((packages, unit))
}

/// The texts of licences in a package's folder.
fn of_folder(folder: &Path) -> Result<Vec<String>> {
    let listed = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut texts = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = name(&path).to_ascii_uppercase();
        let is_one = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];
        if is_one.iter().any(|start| name.starts_with(start)) && path.is_file() {
            texts.push(fs::read_to_string(&path).with_context(|| path.display().to_string())?);
        }
    }
    texts.sort();
    Ok(texts)
}

fn parent(manifest: &str) -> Option<std::path::PathBuf> {
    Path::new(manifest).parent().map(Path::to_path_buf)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_tree_says_who_depends_on_whom() {
        let package = |name: &str| (name.to_owned(), "1.0.0".to_owned());
        let tree = "0 unit v1.0.0 (/somewhere)\n1 a v1.0.0\n2 b v1.0.0\n1 b v1.0.0\n1 c v1.0.0\n2 a v1.0.0\n3 b v1.0.0\n";
        let (packages, unit) = parse(tree).unwrap();
        let on = |name: &str| {
            packages[&package(name)].iter().map(|(name, _)| name.clone()).collect::<String>()
        };
        assert_eq!(unit, package("unit"));
        assert_eq!(
            (on("unit"), on("a"), on("b"), on("c")),
            ("abc".into(), "b".into(), "".into(), "a".into())
        );
        assert!(parse("1 a v1.0.0\n").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn what_the_launcher_is_linked_to_is_listed_with_its_licence_and_its_texts() {
        let package = |name: &str| (name.to_owned(), "1.0.0".to_owned());
        let (unit, launcher) = (package("threshold-edge"), package("threshold-slots"));
        let known = json!({ "license": "MIT OR Apache-2.0", "source": null, "manifest_path": "" });
        let runtime = |name, licence, in_unit| Runtime {
            name,
            version: "2".to_owned(),
            licence,
            source: "somewhere",
            in_unit,
            texts: vec![format!("the text of {name}")],
        };
        let materials = Materials {
            packages: [(unit.clone(), [launcher.clone()].into()), (launcher.clone(), [].into())]
                .into(),
            metadata: [(unit.clone(), known.clone()), (launcher.clone(), known)].into(),
            unit,
            launcher,
            runtimes: vec![
                runtime("rust-std", "MIT OR Apache-2.0", true),
                runtime("glibc", "LGPL-2.1-or-later", false),
            ],
        };
        let bill: Value = serde_json::from_str(&materials.bill(&[]).unwrap()).unwrap();
        let on = |of: &str| {
            let all = bill["dependencies"].as_array().unwrap();
            let found = all.iter().find(|each| each["ref"] == of).unwrap();
            found["dependsOn"].to_string()
        };
        assert_eq!(on(LAUNCHER), r#"["pkg:cargo/threshold-slots@1.0.0","rust-std","glibc"]"#);
        let edge = on("pkg:cargo/threshold-edge@1.0.0");
        assert_eq!(edge, r#"["pkg:cargo/threshold-slots@1.0.0","rust-std"]"#);
        let components = bill["components"].as_array().unwrap();
        let glibc = components.iter().find(|each| each["name"] == "glibc").unwrap();
        assert_eq!(glibc["licenses"][0]["expression"], "LGPL-2.1-or-later");
        let list = materials.licences(&[]).unwrap();
        assert!(list.contains("glibc 2: LGPL-2.1-or-later, linked into threshold-launch; source:"));
        assert!(
            list.contains("the text of glibc")
                && list.contains("threshold-edge and threshold-launch")
        );
    }
}
