//! Numbers and options in a file's byte order. Nothing here trusts a length.

use pcap_file::Endianness;

/// A number of 32 bits in the file's byte order; none beyond the end.
pub(crate) fn u32_at(order: Endianness, bytes: &[u8], at: usize) -> Option<u32> {
    let number = *bytes.get(at..)?.first_chunk()?;
    Some(match order {
        Endianness::Big => u32::from_be_bytes(number),
        Endianness::Little => u32::from_le_bytes(number),
    })
}

/// A number of 16 bits likewise.
pub(crate) fn u16_at(order: Endianness, bytes: &[u8], at: usize) -> Option<u16> {
    let number = *bytes.get(at..)?.first_chunk()?;
    Some(match order {
        Endianness::Big => u16::from_be_bytes(number),
        Endianness::Little => u16::from_le_bytes(number),
    })
}

/// A signed number of 64 bits likewise.
pub(crate) fn i64_at(order: Endianness, bytes: &[u8], at: usize) -> Option<i64> {
    let number = *bytes.get(at..)?.first_chunk()?;
    Some(match order {
        Endianness::Big => i64::from_be_bytes(number),
        Endianness::Little => i64::from_le_bytes(number),
    })
}

/// The options of a pcapng block, code and value, as far as they are in order; they may end without a
/// mark.
pub(crate) struct Options<'a> {
    order: Endianness,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// Those that begin at `at`.
    pub(crate) fn of(order: Endianness, body: &'a [u8], at: usize) -> Self {
        Self { order, rest: body.get(at..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const VALUE: usize = 4;
        let code = u16_at(self.order, self.rest, 0).filter(|code| *code != 0)?;
        let length = usize::from(u16_at(self.order, self.rest, 2)?);
        let value = self.rest.get(VALUE..VALUE + length)?;
        self.rest = self.rest.get(VALUE + length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_need_no_end_mark_and_stop_where_they_are_damaged() {
        let all = |bytes: &[u8]| -> Vec<(u16, Vec<u8>)> {
            Options::of(Endianness::Big, bytes, 0).map(|(c, v)| (c, v.to_vec())).collect()
        };
        let one = (2, b"eth0\0".to_vec());
        assert_eq!(all(b"\0\x02\0\x05eth0\0\0\0\0"), std::slice::from_ref(&one));
        assert_eq!(
            all(b"\0\x02\0\x05eth0\0\0\0\0\0\0\0\0\0\x03\0\x01x"),
            std::slice::from_ref(&one)
        );
        assert_eq!(all(b"\0\x02\0\x05eth0\0"), std::slice::from_ref(&one), "no padding");
        assert_eq!(all(b"\0\x02\0\x05eth0\0\0\0\0\0\x09\0\xff\x06"), [one]);
        assert_eq!(all(b"\0\x02\0"), []);
    }
}
