//! What reports call a card's ceilings: they must do the work that they are timed for.

use crate::rig::{alone, drawn};
use threshold_tests::lots::Lots;

#[test]
fn a_copy_copies_and_products_are_summed() {
    let kernels = alone(&drawn(), 7);
    let bytes = Lots(441).bytes(16 * 1001);
    let (rate, copied) = kernels.copy_ceiling(&bytes, 3).unwrap();
    assert!(copied == bytes && rate > 0.0);
    let (rate, sums) = kernels.multiply_ceiling(3, 2).unwrap();
    assert!(rate > 0.0 && !sums.is_empty());
    // Four sums of three products that add 16 each.
    assert!(sums.iter().all(|sum| *sum == [192.0, 48.0, 48.0, 48.0]));
}
