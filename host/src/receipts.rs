//! The receipts of removals: checked against the unit's signing key, and kept one behind the other beside its log.
//!
//! Owns the file, 104 bytes for each receipt, as the unit's store draws it. Refuses to keep one that the unit did not sign, or
//! that is about somebody else: it would prove nothing to whoever asks for it later.

use crate::error::HostError;
use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use threshold_record::PersonId;
use threshold_store::Receipt;
use threshold_wire::trust::Identity;

/// The receipt of a person's removal, if it is that and the unit signed it.
///
/// # Errors
/// [`threshold_store::ReceiptError`] if it is not signed, [`HostError::OtherReceipt`] if it is about something else.
pub fn check(bytes: &[u8], identity: &Identity, person: PersonId) -> anyhow::Result<Receipt> {
    let other = || HostError::OtherReceipt { person };
    let receipt = Receipt::from_bytes(bytes.try_into().map_err(|_| other())?)?;
    receipt.verify(&identity.key)?;
    let is_about_it = receipt.person == person && receipt.store_id == identity.store_id;
    // The bytes that the signature leaves out are zero, so that a receipt has one form.
    if !is_about_it || receipt.to_bytes() != bytes {
        return Err(other().into());
    }
    Ok(receipt)
}

/// Keeps a receipt that was checked; on the disk when it returns.
///
/// # Errors
/// [`HostError::File`] if the disk refuses.
pub fn keep(path: &Path, receipt: &Receipt) -> Result<(), HostError> {
    let kept = (|| {
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // Two removals at once take turns, where the disk knows locks: each begins where the file ends.
        let _ = file.lock();
        // Half a receipt is what a power cut left of one; the unit's answer to it was never shown as kept.
        let len = file.metadata()?.len();
        file.set_len(len - len % Receipt::LEN as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&receipt.to_bytes())?;
        file.sync_all()
    })();
    kept.map_err(HostError::file(path))?;
    crate::kept::sync_folder(path)
}
