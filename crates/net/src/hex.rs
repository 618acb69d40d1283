//! Bytes in hexadecimal, as handshakes, identifiers and JSON have them.

/// Two small digits a byte.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that are written so, in digits of either size.
pub fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let pairs = digits.chunks(2).map(|pair| {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        Some((digit(0)? * 16 + digit(1)?) as u8)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_byte_has_two_digits() {
        assert_eq!(super::digits(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(super::digits(&[]), "");
    }

    #[test]
    fn two_digits_are_a_byte() {
        assert_eq!(super::bytes(b"000aFf"), Some(vec![0x00, 0x0a, 0xff]));
        assert_eq!(super::bytes(b""), Some(vec![]));
        assert_eq!([b"0", b"x"].map(|odd| super::bytes(odd)), [None, None]);
    }
}
