//! Dot products of int8 vectors: one probe against a run of a gallery's rows, as fast as the rows come from memory.
//!
//! Owns the rows' layout and the kernels. Refuses to rank: [`crate::search`] does.
//! Sums are exact in i32, so that every instruction set gives the same bits.
//!
//! Layout: a row is `len` components and zeros up to a whole number of 64-byte lines, each on a 64-byte boundary. No kernel
//! has a residue to look after, and no load straddles two cache lines. 128-D and 512-D are whole lines as they are.

use threshold_record::MAX_EMBEDDING_LEN;

use super::Simd;

/// Components in a line.
const LINE: usize = 64;

/// A cache line of components.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([i8; LINE]);

/// The components as lines, the last one filled up with zeros.
fn lines(components: &[i8]) -> impl Iterator<Item = Line> {
    components.chunks(LINE).map(|chunk| {
        let mut line = Line([0; LINE]);
        line.0[..chunk.len()].copy_from_slice(chunk);
        line
    })
}

/// A probe's components in lines, on the stack.
pub(crate) struct Probe {
    lines: [Line; MAX_EMBEDDING_LEN.div_ceil(LINE)],
    n_lines: usize,
}

impl Probe {
    /// A probe of at most [`MAX_EMBEDDING_LEN`] components, -127 to 127, as the quantiser writes them.
    pub(crate) fn new(components: &[i8]) -> Self {
        debug_assert!(!components.contains(&i8::MIN), "-128 has no opposite to take a sign with");
        let mut probe = Self {
            lines: [Line([0; LINE]); MAX_EMBEDDING_LEN.div_ceil(LINE)],
            n_lines: components.len().div_ceil(LINE),
        };
        probe.lines.iter_mut().zip(lines(components)).for_each(|(to, line)| *to = line);
        probe
    }
}

/// Vectors of one length, and the kernel that multiplies them.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    kernel: Kernel,
    lines_each: usize,
    lines: Vec<Line>,
}

impl Rows {
    /// No vectors yet; those to come have `len` components.
    pub(crate) fn new(simd: Simd, len: usize) -> Self {
        Self { kernel: Kernel::of(simd), lines_each: len.div_ceil(LINE), lines: Vec::new() }
    }

    /// Multiplies with this instruction set from now on, or with the widest one that this processor has.
    pub(crate) fn set_simd(&mut self, simd: Simd) {
        self.kernel = Kernel::of(simd);
    }

    /// Adds a vector, which is of the rows' length.
    pub(crate) fn push(&mut self, components: &[i8]) {
        debug_assert_eq!(components.len().div_ceil(LINE), self.lines_each);
        self.lines.extend(lines(components));
    }

    /// The components of a vector, and the zeros behind them.
    pub(crate) fn components(&self, row: usize) -> impl Iterator<Item = i8> {
        let lines = &self.lines[row * self.lines_each..][..self.lines_each];
        lines.iter().flat_map(|line| line.0)
    }

    /// The dot products of the probe with `products.len()` vectors from the one numbered `first` on.
    ///
    /// # Panics
    /// If there are fewer vectors, or the probe is of another number of lines.
    pub(crate) fn products(&self, products: &mut [i32], probe: &Probe, first: usize) {
        assert_eq!(probe.n_lines, self.lines_each, "a probe is as long as the rows");
        if self.lines_each == 0 {
            products.fill(0);
            return;
        }
        let rows = &self.lines[first * self.lines_each..][..products.len() * self.lines_each];
        self.kernel.products(products, &probe.lines[..probe.n_lines], rows);
    }
}

/// Which kernel multiplies. Holding one proves that this processor has its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The widest kernel within an instruction set, or within the widest that this processor has.
    fn of(simd: Simd) -> Self {
        match simd.or_available() {
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512
                if is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni") =>
            {
                Self::Vnni
            }
            // Without VNNI, AVX2 is enough for what the memory gives. Where AVX-512 is available, so is AVX2.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 | Simd::Avx2 => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            Simd::Neon => Self::Neon,
            _ => Self::Portable,
        }
    }

    /// `rows` are as many times as long as `probe` as there are `products`, and `probe` is not empty.
    fn products(self, products: &mut [i32], probe: &[Line], rows: &[Line]) {
        match self {
            Self::Portable => by_fours(products, probe, rows, portable),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel::Avx2` proves that this processor has AVX2.
            Self::Avx2 => unsafe { x86::avx2(products, probe, rows) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel::Vnni` proves that this processor has AVX2, AVX-512F, its VL and its VNNI.
            Self::Vnni => unsafe { x86::vnni(products, probe, rows) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a `Kernel::Neon` proves that this processor has NEON.
            Self::Neon => unsafe { neon::neon(products, probe, rows) },
        }
    }
}

/// Takes the rows four at a time, so that the last sums across lanes serve four.
///
/// Each kernel reads its four rows one after the other. Line by line of all four would load the probe once for four rows, but
/// the processor does not read ahead of such a pattern: 512-D from memory took 2 (VNNI) and 3 (AVX2) times as long.
#[inline(always)]
fn by_fours(
    products: &mut [i32],
    probe: &[Line],
    rows: &[Line],
    four: impl Fn(&[Line], [&[Line]; 4]) -> [i32; 4],
) {
    let n = probe.len();
    let (fours, rest) = products.as_chunks_mut::<4>();
    let (of_fours, of_rest) = rows.split_at(4 * n * fours.len());
    for (sums, rows) in fours.iter_mut().zip(of_fours.chunks_exact(4 * n)) {
        let ((a, b), (c, d)) = (rows[..2 * n].split_at(n), rows[2 * n..].split_at(n));
        *sums = four(probe, [a, b, c, d]);
    }
    // Too few to matter.
    for (sum, row) in rest.iter_mut().zip(of_rest.chunks_exact(n)) {
        [*sum, ..] = four(probe, [row, &[], &[], &[]]);
    }
}

/// The scalar loop, which the compiler makes into what every processor of this architecture has.
fn portable(probe: &[Line], rows: [&[Line]; 4]) -> [i32; 4] {
    let product = |(a, b): (&i8, &i8)| i32::from(*a) * i32::from(*b);
    let line = |(a, b): (&Line, &Line)| a.0.iter().zip(&b.0).map(product).sum::<i32>();
    rows.map(|row| probe.iter().zip(row).map(line).sum())
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Line, by_fours};

    /// The multiply-add of bytes takes unsigned ones by signed ones: the row's magnitudes, and the probe's components with
    /// the row's signs. A pair of products is 128 x 127 x 2 at most, which i16 holds, so none is saturated.
    ///
    /// Widening both sides to i16 first would take half as many instructions again, and a fifth more time from memory (Zen 4).
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(products: &mut [i32], probe: &[Line], rows: &[Line]) {
        by_fours(products, probe, rows, |probe, rows| {
            across(rows.map(|row| {
                row.iter().zip(probe).fold(_mm256_setzero_si256(), |sum, (row, probe)| {
                    (0..2).fold(sum, |sum, half| {
                        let (row, probe) = (load(row, half), load(probe, half));
                        let pairs = _mm256_maddubs_epi16(
                            _mm256_abs_epi8(row),
                            _mm256_sign_epi8(probe, row),
                        );
                        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                    })
                })
            }))
        });
    }

    /// Adds up the lanes of each of four.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn across(sums: [__m256i; 4]) -> [i32; 4] {
        let [a, b, c, d] = sums.map(|sum| {
            _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum))
        });
        let sums = _mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d));
        let mut out = [0; 4];
        // SAFETY: `out` holds sixteen bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
        out
    }

    /// VNNI multiplies unsigned bytes by signed ones, so a row's components are raised by 128, for which flipping their
    /// top bit is enough, and the sums begin at -128 x the sum of the probe's components.
    ///
    /// In vectors of half a line: whole lines take half the instructions and, from memory, up to a quarter more time
    /// (Zen 4, 512-D), and prefetching by hand 1 to 8 KiB ahead made either slower.
    #[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
    pub(super) fn vnni(products: &mut [i32], probe: &[Line], rows: &[Line]) {
        let top = _mm256_set1_epi8(i8::MIN);
        let raised = probe.iter().fold(_mm256_setzero_si256(), |sum, line| {
            // Read as an unsigned byte, `top` is 128.
            (0..2).fold(sum, |sum, half| _mm256_dpbusd_epi32(sum, top, load(line, half)))
        });
        let start = _mm256_sub_epi32(_mm256_setzero_si256(), raised);
        by_fours(products, probe, rows, |probe, rows| {
            across(rows.map(|row| {
                row.iter().zip(probe).fold(start, |sum, (row, probe)| {
                    (0..2).fold(sum, |sum, half| {
                        let raised = _mm256_xor_si256(load(row, half), top);
                        _mm256_dpbusd_epi32(sum, raised, load(probe, half))
                    })
                })
            }))
        });
    }

    /// Half of a line.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(line: &Line, half: usize) -> __m256i {
        let half = &line.0.as_chunks::<32>().0[half];
        // SAFETY: the 32 bytes are borrowed.
        unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{Line, by_fours};

    /// Multiplies to i16, which holds one product of any two components, and adds pairs of these to i32.
    ///
    /// The dot product instructions (`sdot`) are younger than NEON and not in stable Rust.
    #[target_feature(enable = "neon")]
    pub(super) fn neon(products: &mut [i32], probe: &[Line], rows: &[Line]) {
        by_fours(products, probe, rows, |probe, rows| {
            rows.map(|row| {
                let sum = row.iter().zip(probe).fold(vdupq_n_s32(0), |sum, (row, probe)| {
                    (0..4).fold(sum, |sum, quarter| {
                        let (row, probe) = (load(row, quarter), load(probe, quarter));
                        let low = vmull_s8(vget_low_s8(row), vget_low_s8(probe));
                        let high = vmull_high_s8(row, probe);
                        vpadalq_s16(vpadalq_s16(sum, low), high)
                    })
                });
                vaddvq_s32(sum)
            })
        });
    }

    /// Sixteen components of a line.
    #[inline]
    #[target_feature(enable = "neon")]
    fn load(line: &Line, quarter: usize) -> int8x16_t {
        let sixteen = &line.0.as_chunks::<16>().0[quarter];
        // SAFETY: the sixteen bytes are borrowed.
        unsafe { vld1q_s8(sixteen.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The products of some rows with a probe, by every instruction set, are those of the scalar loop.
    fn check(probe: &[i8], vectors: &[Vec<i8>]) {
        let dot = |vector: &Vec<i8>| -> i32 {
            vector.iter().zip(probe).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
        };
        let expected: Vec<i32> = vectors.iter().map(dot).collect();
        for simd in Simd::available() {
            let mut rows = Rows::new(simd, probe.len());
            vectors.iter().for_each(|vector| rows.push(vector));
            for first in 0..vectors.len().min(6) {
                let mut products = vec![i32::MIN; vectors.len() - first];
                rows.products(&mut products, &Probe::new(probe), first);
                assert_eq!(products, expected[first..], "{simd:?}, {} components", probe.len());
            }
        }
    }

    #[test]
    fn products_of_every_length_are_the_scalar_loops() {
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut component = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 32) as i8).max(-127)
        };
        for len in 0..=MAX_EMBEDDING_LEN {
            let mut vector = || (0..len).map(|_| component()).collect::<Vec<i8>>();
            let probe = vector();
            let vectors: Vec<_> = (0..len % 7).map(|_| vector()).collect();
            check(&probe, &vectors);
        }
    }

    #[test]
    fn products_of_extreme_components_do_not_overflow() {
        let extremes = [i8::MIN, -127, -1, 0, 1, 127];
        for len in [1, 2, 63, 64, 65, 127, 128, 129, 511, 512] {
            let mut vectors: Vec<Vec<i8>> = extremes.map(|value| vec![value; len]).into();
            let alternating = |a: i8, b: i8| (0..len).map(move |i| if i % 2 == 0 { a } else { b });
            vectors.push(alternating(i8::MIN, 127).collect());
            vectors.push(alternating(127, -127).collect());
            let probes = vectors.iter().filter(|vector| !vector.contains(&i8::MIN));
            probes.for_each(|probe| check(probe, &vectors));
        }
    }

    #[test]
    fn no_instruction_set_but_portable_falls_back_to_it() {
        for simd in Simd::available() {
            assert_eq!(Kernel::of(simd) == Kernel::Portable, simd == Simd::Portable, "{simd:?}");
        }
    }
}
