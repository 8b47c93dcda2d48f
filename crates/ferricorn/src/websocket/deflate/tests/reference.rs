//! A simple, slow inflater, written from RFC 1951 alone. Unlike zlib it checks that the sender stays
//! inside its window.

/// The longest codes of DEFLATE, in bits.
const LONGEST_CODE: usize = 15;

/// The shortest length for each symbol from 257 on, and the number of extra bits.
const LENGTHS: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [u32; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];

const DISTANCES: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS: [u32; 30] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

const ORDER_OF_CODE_LENGTHS: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// A peer that keeps everything that it has inflated.
pub(super) struct Reference {
    window: usize,
    context_takeover: bool,
    past: Vec<u8>,
}

impl Reference {
    pub(super) fn new(direction: super::Direction) -> Self {
        Self {
            window: 1 << direction.window_bits,
            context_takeover: direction.context_takeover,
            past: Vec::new(),
        }
    }

    /// Inflates a payload. Panics if anything is wrong with it.
    pub(super) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.context_takeover {
            self.past.clear();
        }
        let before = self.past.len();
        let mut bytes = payload.to_vec();
        bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let mut bits = Bits { bytes, position: 0 };
        while bits.position < bits.bytes.len() * 8 {
            self.block(&mut bits);
        }
        self.past[before..].to_vec()
    }

    fn block(&mut self, bits: &mut Bits) {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                bits.align();
                let (length, complement) = (bits.take(16), bits.take(16));
                assert_eq!(length, complement ^ 0xffff, "a stored block's length");
                for _ in 0..length {
                    self.past.push(bits.take(8) as u8);
                }
            }
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                self.compressed(bits, &Code::new(&lengths), &Code::new(&[5; 30]));
            }
            2 => {
                let (literals, distances, codes) =
                    (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
                let mut lengths = [0; 19];
                for place in &ORDER_OF_CODE_LENGTHS[..codes] {
                    lengths[*place] = bits.take(3);
                }
                let code = Code::new(&lengths);
                let mut lengths = Vec::new();
                while lengths.len() < literals + distances {
                    let (length, times) = match code.take(bits) {
                        16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
                        17 => (0, 3 + bits.take(3)),
                        18 => (0, 11 + bits.take(7)),
                        length => (length, 1),
                    };
                    lengths.extend(std::iter::repeat_n(length, times));
                }
                let (literals, distances) = lengths.split_at(literals);
                self.compressed(bits, &Code::new(literals), &Code::new(distances));
            }
            _ => panic!("a block of no known type"),
        }
        if last {
            bits.align();
        }
    }

    fn compressed(&mut self, bits: &mut Bits, literals: &Code, distances: &Code) {
        loop {
            match literals.take(bits) {
                256 => return,
                symbol @ ..256 => self.past.push(symbol as u8),
                symbol => {
                    let symbol = symbol - 257;
                    let length = LENGTHS[symbol] + bits.take(LENGTH_BITS[symbol]);
                    let symbol = distances.take(bits);
                    let distance = DISTANCES[symbol] + bits.take(DISTANCE_BITS[symbol]);
                    assert!(
                        distance <= self.window,
                        "{distance} is outside of the window"
                    );
                    assert!(
                        distance <= self.past.len(),
                        "{distance} is before the beginning"
                    );
                    for _ in 0..length {
                        self.past.push(self.past[self.past.len() - distance]);
                    }
                }
            }
        }
    }
}

struct Bits {
    bytes: Vec<u8>,
    position: usize,
}

impl Bits {
    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |number, place| {
            let bit = self.bytes[self.position / 8] >> (self.position % 8) & 1;
            self.position += 1;
            number | usize::from(bit) << place
        })
    }

    fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }
}

/// A Huffman code: the number of codes of each length, and their symbols in order.
struct Code {
    counts: [usize; LONGEST_CODE + 1],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; LONGEST_CODE + 1];
        let mut symbols = Vec::new();
        for (length, count) in counts.iter_mut().enumerate().skip(1) {
            let before = symbols.len();
            symbols.extend((0..lengths.len()).filter(|symbol| lengths[*symbol] == length));
            *count = symbols.len() - before;
        }
        Self { counts, symbols }
    }

    fn take(&self, bits: &mut Bits) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1);
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no code of this table");
    }
}
