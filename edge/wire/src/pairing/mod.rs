//! Pairing: an administrator becomes known to a unit, by a code and by somebody who stands at the unit.
//!
//! Owns the code's spelling, the window during which a unit pairs, and, behind the feature `session`, the handshake
//! `Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s`, whose pre-shared key is made of the code.
//! Refuses to pair without the unit's button, and to keep anybody: the roster is the store's.

mod code;
#[cfg(feature = "session")]
mod exchange;
mod window;

pub use code::{CodeError, CodeText, PairingCode};
#[cfg(feature = "session")]
pub(crate) use code::{Spelling, read, spell};
#[cfg(feature = "session")]
pub use exchange::{Finished, PairingAtHost, PairingAtUnit, ProvingAtHost};
pub use window::{PairingWindow, WINDOW_ATTEMPTS, WINDOW_MS};
