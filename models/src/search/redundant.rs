//! Which of some templates of one person tells the least beside the others.
//!
//! Owns the rule by which a template goes where there is room for fewer: at the door among what was gathered, and from photos among
//! what a person has. Refuses to compare: the caller says how alike two are.

use threshold_record::Score;

/// The one that may go and is most alike to another one; of two that are as alike the one of lower quality, and then the later one.
/// `None` if none may go.
pub fn most_redundant<T>(
    held: &[T],
    may_go: impl Fn(usize) -> bool,
    score: impl Fn(&T, &T) -> Score,
    quality: impl Fn(&T) -> u8,
) -> Option<usize> {
    // How alike the most alike other one is, and then how poor it is.
    let of = |at: usize| {
        let others = held.iter().enumerate().filter(|&(other, _)| other != at);
        let alike = others.map(|(_, other)| score(&held[at], other).0);
        (alike.fold(f32::MIN, f32::max), quality(&held[at]))
    };
    let worse = |&a: &usize, &b: &usize| {
        let ((alike_a, quality_a), (alike_b, quality_b)) = (of(a), of(b));
        alike_a.total_cmp(&alike_b).then(quality_b.cmp(&quality_a))
    };
    (0..held.len()).filter(|&at| may_go(at)).max_by(worse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_two_most_alike_the_poorer_goes_if_it_may() {
        // Places on a line and qualities: 1.0 and 1.1 are nearest to each other.
        let held = [(0.0f32, 10u8), (1.0, 80), (1.1, 90), (5.0, 20)];
        let score = |one: &(f32, u8), other: &(f32, u8)| Score(-(one.0 - other.0).abs());
        let gone =
            |may_go: &dyn Fn(usize) -> bool| most_redundant(&held, may_go, score, |one| one.1);
        assert_eq!(gone(&|_| true), Some(1));
        assert_eq!(gone(&|at| at != 1), Some(2));
        assert_eq!(gone(&|at| at == 0 || at == 3), Some(0));
        assert_eq!(gone(&|_| false), None);
        assert_eq!(most_redundant(&held[..1], |_| true, score, |one| one.1), Some(0));
    }
}
