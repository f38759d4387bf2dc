//! Crops: the patch of a frame that an embedder sees.

/// How a face becomes an embedder's input; part of the pack, so that unit and host crop alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CropRule {
    /// The detection's box squared about its centre, grown by `margin_px` in the crop's scale
    /// (facenet-pytorch's `extract_face` rule), resized by area means.
    SquaredBox {
        /// Side of the crop in pixels.
        size_px: usize,
        /// Margin in crop pixels, both sides together.
        margin_px: f32,
    },
    /// A similarity transform that lays the five landmarks on `points_px`, weighted, bilinear.
    Similarity {
        /// Side of the crop in pixels.
        size_px: usize,
        /// Where the landmarks go: subject's right eye (left in the picture), other eye, nose, mouth corners.
        points_px: [[f32; 2]; 5],
        /// Weight of each landmark in the least squares.
        weights: [f32; 5],
    },
}
