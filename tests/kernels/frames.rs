//! Formats, strides and sizes: every level of the pyramid has the CPU engine's pixels, in four halves each, to the bit.

use crate::rig::{alone, drawn, n_rounds, noise, rounds};
use half::f16;
use threshold_kernels::launch::Levels;
use threshold_models::cascade::pyramid::{AreaResize, Grey, Rect, levels};
use threshold_models::raw::{Colour, Matrix, PixelFormat, Range, RawFrame};
use threshold_tests::lots::Lots;
use threshold_tests::skipped;

fn check(
    lots: &mut Lots,
    [width, height]: [usize; 2],
    format: PixelFormat,
    min_face: f64,
    factor: f64,
) {
    let stride = format.stride(width) + lots.below(9) as usize;
    let colour = Colour {
        matrix: lots.one_of(&[Matrix::Bt601, Matrix::Bt709]),
        range: lots.one_of(&[Range::Limited, Range::Full]),
    };
    let bytes = noise(lots, format.len(height, stride));
    let raw = RawFrame::new(format, [width, height], stride, colour, &bytes).unwrap();
    let frame = raw.to_frame();
    let table = Levels::new(width, height, min_face, factor);
    let what =
        format!("{width}x{height} {format:?}, stride {stride}, min face {min_face}, {factor}");
    if table.is_empty() {
        assert_eq!(levels(width, height, min_face, factor).count(), 0, "{what}");
        return;
    }
    let found = alone(&drawn(), lots.below(99)).stages().pyramid(&raw, &table).unwrap();
    let mut at = 0;
    for level in levels(width, height, min_face, factor) {
        let mut expected = vec![0.0; level.height * level.width * 3];
        let size = (level.height, level.width);
        AreaResize::default().run(&frame, Rect::of(&frame), size, Grey::CASCADE, &mut expected);
        for (pixel, expected) in expected.chunks_exact(3).enumerate() {
            let half = |value: f32| f16::from_f32(value).to_f32();
            let [red, green, blue] = [expected[0], expected[1], expected[2]];
            let expected = [green, green - half(green), red - green, blue - green].map(half);
            assert_eq!(found[at + pixel * 4..][..4], expected, "{what}: {level:?} {pixel}");
        }
        at += level.height * level.width * 4;
    }
    assert_eq!(at, found.len(), "{what}");
}

#[test]
fn levels_have_the_pixels_of_the_cpu_engine_in_every_format() {
    for mut lots in rounds(401) {
        for format in PixelFormat::ALL {
            check(&mut lots, [16, 16], format, 12.0, 0.709);
            check(&mut lots, [97, 61], format, 40.0, 0.709);
            for _ in 0..6 {
                let size = [16 + lots.below(240) as usize, 16 + lots.below(240) as usize];
                let (min_face, factor) =
                    (6.0 + lots.below(50) as f64, lots.one_of(&[0.5, 0.709, 0.9]));
                check(&mut lots, size, format, min_face, factor);
            }
        }
        // Any size that a frame may have, of an area that an emulator gets through.
        let most = if n_rounds() == 1 { 60_000 } else { 400_000 };
        for _ in 0..2 {
            let width = 16 + lots.below(4096 - 15) as usize;
            let height =
                16 + lots.below(2160.min(most / width as u64).saturating_sub(15).max(1)) as usize;
            let turned = lots.below(2) == 1 && width <= 2160;
            let size = if turned { [height, width] } else { [width, height] };
            let min_face = 12.0 + lots.below(width.min(height) as u64) as f64 / 2.0;
            let format = lots.one_of(&PixelFormat::ALL);
            let factor = lots.one_of(&[0.5, 0.709, 0.9]);
            check(&mut lots, size, format, min_face, factor);
        }
        // Windows of more pixels than a word's sums hold, in a frame of more rows than `columns` holds at once.
        check(&mut lots, [1301, 1297], PixelFormat::Rgb24, 1290.0, 0.709);
        check(&mut lots, [1280, 720], PixelFormat::Nv12, 640.0, 0.709);
        check(&mut lots, [4096, 64], PixelFormat::Yuyv, 48.0, 0.6);
    }
}

#[test]
fn the_largest_frames_have_the_pixels_of_the_cpu_engine_too() {
    if n_rounds() == 1 {
        return skipped("frames of 4096 x 2160", "a long sweep: cargo xtask soak kernels");
    }
    let mut lots = Lots(403);
    for format in PixelFormat::ALL {
        check(&mut lots, [4096, 2160], format, 80.0, 0.709);
        check(&mut lots, [4095, 2159], format, 2000.0, 0.709);
    }
}
