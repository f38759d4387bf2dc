//! What is measured: each workload as our command line and as the peers' command.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use threshold_models::pack::PackDir;

/// Where the files lie that both sides read.
pub(super) struct Places {
    /// Definitions of the networks, frames.
    pub(super) folder: PathBuf,
    /// The folder of packs.
    pub(super) packs: PathBuf,
}

impl Places {
    /// The definition of a network, as `threshold model layers` prints it.
    pub(super) fn definition(&self, network: &str, size: Option<[u32; 2]>) -> PathBuf {
        let size = size.map(|[w, h]| format!("-{w}x{h}")).unwrap_or_default();
        self.folder.join(format!("{network}{size}.json"))
    }

    /// The file of a frame.
    pub(super) fn frame(&self, picture: Picture) -> PathBuf {
        self.folder.join(match picture {
            Picture::Full([w, h]) => format!("mosaic-{w}x{h}.png"),
            Picture::Faces(n, [w, h]) => format!("faces-{n}-{w}x{h}.png"),
        })
    }
}

/// What a frame shows, which is also the name of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// 4 x 3 faces, which grow with the frame.
    Full([u32; 2]),
    /// So many equal faces in a frame of that size, in front of a wall.
    Faces(u32, [u32; 2]),
}

impl Picture {
    pub(super) const fn size(self) -> [u32; 2] {
        match self {
            Self::Full(size) | Self::Faces(_, size) => size,
        }
    }
}

/// One thing that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// A network; P-Net also has the size of its level.
    Network { network: &'static str, size: Option<[u32; 2]>, items: u32, threads: usize },
    /// From nothing to the first result.
    Start { network: &'static str, threads: usize },
    /// Faces of a frame.
    Detection { picture: Picture, min_face: u32, threads: usize },
}

/// P-Net's levels are such as the pyramids of real frames have. NN1 is left out: its half a gigabyte of weights would be
/// made anew in every turn.
const NETWORKS: [(&str, Option<[u32; 2]>, u32); 8] = [
    ("facenet", None, 1),
    ("dlib", None, 1),
    ("nn2", None, 1),
    ("nn3", None, 1),
    ("pnet", Some([320, 240]), 1),
    ("pnet", Some([769, 433]), 1),
    ("rnet", None, 32),
    ("onet", None, 8),
];

/// Faces embedded at a time, beside one.
const BATCHES: [u32; 4] = [2, 4, 8, 16];

const SIZES: [[u32; 2]; 3] = [[640, 480], [1280, 720], [1920, 1080]];
const MIN_FACES: [u32; 3] = [20, 40, 80];
const THREADS: [usize; 2] = [1, 2];

/// The smallest face of the plots.
pub(super) const PLOTTED_MIN_FACE: u32 = 40;
/// Faces in the frames of the plot by size, and the size of those in the plot by faces: where the two cross.
pub(super) const PLOTTED_FACES: u32 = 4;
pub(super) const PLOTTED_SIZE: [u32; 2] = [1280, 720];
const SIZES_BESIDE: [[u32; 2]; 4] = [[640, 480], [960, 720], [1600, 900], [1920, 1080]];
const FACES: [u32; 5] = [1, 2, 4, 8, 16];

/// All workloads, in the order of the tables.
pub(super) fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    for picture in SIZES.map(Picture::Full) {
        for min_face in MIN_FACES {
            let of = |threads| Workload::Detection { picture, min_face, threads };
            all.extend(THREADS.map(of));
        }
    }
    let by_size = SIZES_BESIDE.map(|size| Picture::Faces(PLOTTED_FACES, size));
    let by_faces = FACES.map(|n| Picture::Faces(n, PLOTTED_SIZE));
    let plotted = by_size.into_iter().chain(by_faces);
    all.extend(plotted.map(|picture| Workload::Detection {
        picture,
        min_face: PLOTTED_MIN_FACE,
        threads: 1,
    }));
    for (network, size, items) in NETWORKS {
        all.extend(THREADS.map(|threads| Workload::Network { network, size, items, threads }));
    }
    all.extend(BATCHES.map(|items| Workload::Network {
        network: "facenet",
        size: None,
        items,
        threads: 1,
    }));
    all.extend(["facenet", "dlib"].map(|network| Workload::Start { network, threads: 1 }));
    all
}

impl Workload {
    /// The networks whose definitions the peers read.
    pub(super) fn networks(self) -> Vec<(&'static str, Option<[u32; 2]>)> {
        match self {
            Self::Network { network, size, .. } => vec![(network, size)],
            Self::Start { network, .. } => vec![(network, None)],
            Self::Detection { .. } => {
                vec![("pnet", Some([320, 240])), ("rnet", None), ("onet", None)]
            }
        }
    }

    /// What a line of progress calls it.
    pub(super) fn label(self) -> String {
        match self {
            Self::Network { network, size, items, threads } => {
                let size = size.map(|[w, h]| format!(" {w}x{h}")).unwrap_or_default();
                format!("{network}{size}, {items} at a time, threads {threads}")
            }
            Self::Start { network, .. } => format!("cold start of {network}"),
            Self::Detection { picture, min_face, threads } => {
                let [w, h] = picture.size();
                let faces = match picture {
                    Picture::Full(_) => String::new(),
                    Picture::Faces(n, _) => format!(", faces {n}"),
                };
                format!("detection {w}x{h}{faces}, min face {min_face}, threads {threads}")
            }
        }
    }

    /// Calls in a turn, from those of a detection: most networks take a few milliseconds and get more.
    pub(super) fn calls(self, calls: usize) -> usize {
        match self {
            Self::Network { network: "facenet", items: 2.., .. } | Self::Detection { .. } => calls,
            Self::Network { .. } => 3 * calls,
            Self::Start { .. } => 1,
        }
    }

    /// Whether it needs a pack that set-up did not make: FaceNet's weights are in no package registry.
    pub(super) fn lacks_pack(self, places: &Places) -> bool {
        let facenet =
            || PackDir::open(&places.packs).is_ok_and(|packs| packs.named("facenet").is_ok());
        matches!(self, Self::Start { network: "facenet", .. }) && !facenet()
    }

    /// What `threshold` is started with, less the calls.
    pub(super) fn ours(self, places: &Places) -> Vec<String> {
        let mut words = vec!["--json".to_owned(), "--packs".to_owned(), shown(&places.packs)];
        let (threads, what) = match self {
            Self::Network { network, size, items, threads } => {
                let mut what = vec!["network".to_owned(), network.to_owned()];
                if let Some([w, h]) = size {
                    what.extend(["--size".to_owned(), format!("{w}x{h}")]);
                }
                what.extend(["--items".to_owned(), items.to_string()]);
                (threads, what)
            }
            Self::Start { network, threads } => {
                words.extend(["--model".to_owned(), network.to_owned()]);
                (threads, vec!["start".to_owned()])
            }
            Self::Detection { picture, min_face, threads } => {
                let image = shown(&places.frame(picture));
                let what = ["detect", "--image", &image, "--min-face", &min_face.to_string()];
                (threads, what.map(str::to_owned).to_vec())
            }
        };
        words.extend(["--threads".to_owned(), threads.to_string(), "bench".to_owned()]);
        words.extend(what);
        words
    }

    /// What the peers are told, less the calls; `shape` is the network's input, [h, w, c].
    pub(super) fn theirs(self, places: &Places, shape: &Value) -> Value {
        match self {
            Self::Network { network, size, items, threads } => json!({
                "do": "network", "network": network, "definition": places.definition(network, size),
                "size": [shape[1], shape[0]], "items": items, "threads": threads,
            }),
            Self::Start { network, threads } => json!({
                "do": "start", "definition": places.definition(network, None), "threads": threads,
            }),
            Self::Detection { picture, min_face, threads } => {
                let definitions: Vec<PathBuf> = self
                    .networks()
                    .into_iter()
                    .map(|(network, size)| places.definition(network, size))
                    .collect();
                json!({
                    "do": "detect", "image": places.frame(picture), "min_face": min_face,
                    "threads": threads, "definitions": definitions,
                    "pack": places.packs.join("mtcnn.pack"),
                })
            }
        }
    }

    /// False for what facenet-pytorch does not have.
    pub(super) fn is_of_facenet_pytorch(self) -> bool {
        match self {
            Self::Network { network, .. } => ["facenet", "pnet", "rnet", "onet"].contains(&network),
            Self::Start { .. } => false,
            Self::Detection { .. } => true,
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
