//! Random numbers that are the same in every run.

/// A xorshift generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Less than this.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from((self.u64() >> 16) % end as u64).unwrap()
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.u64().to_be_bytes()[0]
    }

    /// Often one of the ends of its range.
    pub(crate) fn u16(&mut self) -> u16 {
        let [a, b, ..] = self.u64().to_be_bytes();
        self.pick(&[0, 1, u16::MAX, u16::from_be_bytes([a, b])])
    }

    /// Often one of the ends of its range.
    pub(crate) fn u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.u64().to_be_bytes();
        self.pick(&[0, 1, u32::MAX, u32::from_be_bytes([a, b, c, d])])
    }

    pub(crate) fn bytes(&mut self, end: usize) -> Vec<u8> {
        (0..self.below(end)).map(|_| self.u8()).collect()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
