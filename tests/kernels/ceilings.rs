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

#[test]
fn a_row_of_levels_gives_the_same_in_a_launch_each_and_in_one_with_any_grid() {
    let kernels = alone(&drawn(), 8);
    for (levels, blocks) in [(1, 1), (2, 3), (7, 5), (20, 2)] {
        // Only the last run counts: values of the one before are what it begins with.
        let (_, each) = kernels.levels_floor((levels, blocks), None, 0).unwrap();
        assert_eq!(each.len(), blocks * 128);
        // A sum of four times the level before's, plus its number.
        let mut first = 0u32;
        (0..levels as u32).for_each(|level| first = first.wrapping_mul(4).wrapping_add(level));
        assert!(each.iter().all(|value| *value == [first, 0, 0, 0]));
        for grid in [1, 2, 9] {
            let (_, one) = kernels.levels_floor((levels, blocks), Some(grid), 1).unwrap();
            let again = kernels.levels_floor((levels, blocks), None, 1).unwrap().1;
            assert_eq!(one, again, "{levels} levels of {blocks} blocks, grid {grid}");
        }
    }
}
