//! A picture, cut into tiles: a part of the Mandelbrot set.

use std::sync::LazyLock;

use bytes::Bytes;

/// The number of tiles in a row, and the number of rows.
const GRID: usize = 8;

/// The width and height of a tile, in pixels.
const SIDE: usize = 32;

/// After this many steps, a point counts as a member of the set.
const STEPS: u32 = 96;

/// All tiles as BMP files, row by row from the top left. They are made at the first access.
pub(crate) static TILES: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| (0..GRID * GRID).map(|number| tile(number).into()).collect());

fn tile(number: usize) -> Vec<u8> {
    let (left, top) = (number % GRID * SIDE, number / GRID * SIDE);
    let mut file = bmp_headers();
    // The rows of a BMP file go from the bottom to the top.
    for y in (top..top + SIDE).rev() {
        for x in left..left + SIDE {
            file.extend(colour(x, y));
        }
    }
    file
}

/// The colour of a pixel: blue, green, red.
fn colour(x: usize, y: usize) -> [u8; 3] {
    let scale = 3.0 / (GRID * SIDE) as f32;
    let (re, im) = (x as f32 * scale - 2.2, y as f32 * scale - 1.5);
    let (mut a, mut b) = (0.0, 0.0);
    for step in 0..STEPS {
        if a * a + b * b > 4.0 {
            let light = (step * 255 / STEPS) as u8;
            return [
                255 - light,
                light.saturating_mul(3),
                light.saturating_mul(6),
            ];
        }
        (a, b) = (a * a - b * b + re, 2.0 * a * b + im);
    }
    [64, 16, 16]
}

/// The headers of an uncompressed BMP file with 24 bits per pixel. A row of 32 pixels needs no
/// padding.
fn bmp_headers() -> Vec<u8> {
    const HEADERS_LEN: u32 = 54;
    let (side, pixels) = (SIDE as u32, (SIDE * SIDE * 3) as u32);
    let mut headers = b"BM".to_vec();
    // File size, reserved, offset of the pixels; size of the second header, width, height.
    for word in [HEADERS_LEN + pixels, 0, HEADERS_LEN, 40, side, side] {
        headers.extend(word.to_le_bytes());
    }
    // Planes, bits per pixel.
    for half in [1_u16, 24] {
        headers.extend(half.to_le_bytes());
    }
    // No compression, size of the pixels, no resolution, no palette.
    for word in [0, pixels, 0, 0, 0, 0] {
        headers.extend(word.to_le_bytes());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::TILES;

    #[test]
    fn the_tiles_have_one_size_and_different_pixels() {
        assert_eq!(TILES.len(), 64);
        assert!(TILES.iter().all(|tile| tile.len() == 54 + 32 * 32 * 3));
        assert!(TILES[0] != TILES[27]);
    }
}
