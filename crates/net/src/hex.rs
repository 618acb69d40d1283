//! Bytes in hexadecimal, as handshakes, identifiers and JSON have them.

/// Two small digits a byte.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_byte_has_two_digits() {
        assert_eq!(super::digits(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(super::digits(&[]), "");
    }
}
