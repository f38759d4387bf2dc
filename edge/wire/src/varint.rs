//! Varints: LEB128 of a u64 in the fewest bytes, as the heads of sealed frames and bulk packets carry numbers.
//!
//! Refuses padding: a number has one spelling, so that equal frames have equal bytes.

use heapless::Vec;

/// Appends a number, 1 to 10 bytes; gives it back if it does not fit.
pub(crate) fn write<const N: usize>(mut value: u64, out: &mut Vec<u8, N>) -> Result<(), u8> {
    while value >= 0x80 {
        out.push(value as u8 | 0x80)?;
        value >>= 7;
    }
    out.push(value as u8)
}

/// Takes a number off the front; `None` if there is none, it is padded, or it takes more than 64 bits.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a number of 32 bits off the front.
pub(crate) fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(read(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_spelling() {
        for bits in 0..64 {
            for value in [(1 << bits) - 1, 1 << bits, u64::MAX >> bits] {
                let mut bytes = Vec::<u8, 10>::new();
                assert_eq!(write(value, &mut bytes), Ok(()));
                let mut rest = &bytes[..];
                assert_eq!(read(&mut rest), Some(value));
                assert!(rest.is_empty());
                for len in 0..bytes.len() {
                    assert_eq!(read(&mut &bytes[..len]), None, "{value} cut to {len}");
                }
            }
        }
        for padded in [
            &[0x80, 0][..],
            &[0xff, 0x80, 0],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert_eq!(read(&mut &padded[..]), None, "{padded:?}");
        }
        assert_eq!(read_u32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
    }
}
