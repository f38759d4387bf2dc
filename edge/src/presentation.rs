//! Presentation-attack detection at the door: `threshold_models::presentation`'s, which `threshold eval pad` measures.

pub use threshold_models::presentation::{AttackDetector, assess, best_verdict, installed};
