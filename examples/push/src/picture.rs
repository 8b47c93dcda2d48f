//! A picture, cut into tiles.

use std::sync::LazyLock;

use bytes::Bytes;

/// Tiles in a row, and rows.
const GRID: usize = 8;

/// Pixels on each side of a tile.
const SIDE: usize = 32;

/// How often a point may go round before it counts as one that never leaves.
const TURNS: u32 = 96;

/// All tiles as BMP files, from the top left, row by row. Made when they are first looked at.
pub(crate) static TILES: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| (0..GRID * GRID).map(|number| tile(number).into()).collect());

fn tile(number: usize) -> Vec<u8> {
    let (left, top) = (number % GRID * SIDE, number / GRID * SIDE);
    let mut file = bmp_head();
    // BMP has its rows from the bottom up.
    for y in (top..top + SIDE).rev() {
        for x in left..left + SIDE {
            file.extend(colour(x, y));
        }
    }
    file
}

/// A pixel of Mandelbrot's set: blue, green, red.
fn colour(x: usize, y: usize) -> [u8; 3] {
    let scale = 3.0 / (GRID * SIDE) as f32;
    let (re, im) = (x as f32 * scale - 2.2, y as f32 * scale - 1.5);
    let (mut a, mut b) = (0.0, 0.0);
    for turn in 0..TURNS {
        if a * a + b * b > 4.0 {
            let light = (turn * 255 / TURNS) as u8;
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

/// The heads of an uncompressed BMP of 24 bits a pixel; 32 pixels fill whole words.
fn bmp_head() -> Vec<u8> {
    const HEADS: u32 = 54;
    let (side, pixels) = (SIDE as u32, (SIDE * SIDE * 3) as u32);
    let mut head = b"BM".to_vec();
    // Size, reserved, where the pixels begin; size of the second head, width, height.
    for word in [HEADS + pixels, 0, HEADS, 40, side, side] {
        head.extend(word.to_le_bytes());
    }
    // Planes, bits a pixel.
    for half in [1_u16, 24] {
        head.extend(half.to_le_bytes());
    }
    // Not compressed, size, then resolution and palette as it may be.
    for word in [0, pixels, 0, 0, 0, 0] {
        head.extend(word.to_le_bytes());
    }
    head
}

#[cfg(test)]
mod tests {
    use super::TILES;

    #[test]
    fn there_are_sixty_four_tiles_of_one_size_and_not_of_one_look() {
        assert_eq!(TILES.len(), 64);
        assert!(TILES.iter().all(|tile| tile.len() == 54 + 32 * 32 * 3));
        assert!(TILES[0] != TILES[27]);
    }
}
