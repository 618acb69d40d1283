//! Floats in the text form of Fluent Bit: C's `%.1f` for whole numbers, `%.16g` for all others.

use std::io::Write as _;

/// Digits that `%.16g` keeps.
const DIGITS: i32 = 16;
/// Below it, a decimal has at most [`DIGITS`] digits.
const LIMIT: u128 = 10_u128.pow(DIGITS as u32);

/// The powers of ten that are exact as float64.
pub(super) const POWERS_OF_10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

const POWERS_OF_5: [u64; 28] = {
    let mut powers = [1; 28];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 5;
        i += 1;
    }
    powers
};

/// Appends `value`; one that is not finite as `null`. Returns whether the text is known to parse to the same value.
pub(super) fn write(value: f64, out: &mut Vec<u8>) -> bool {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return false;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let positive = value.abs();
    if is_whole(value) {
        out.extend_from_slice(itoa::Buffer::new().format(positive as u64).as_bytes());
        out.extend_from_slice(b".0");
        return true;
    }
    let (digits, exponent) = decimal(positive).unwrap_or_else(|| decimal_slow(positive));
    write_general(digits, exponent, out) == Some(positive)
}

/// Whether C's `(double)(int64_t)value == value` holds. An int64 ends just below 2^63.
fn is_whole(value: f64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&value) && value.trunc() == value
}

/// The 16 digits nearest to `value`, as an integer from 10^15, and the exponent of ten of the first of them. Exact;
/// `None` where the intermediate does not fit 128 bits, which is below about 10^-12 and from 10^16.
fn decimal(value: f64) -> Option<(u64, i32)> {
    const FRACTION_BITS: u32 = 52;
    let bits = value.to_bits();
    let biased = (bits >> FRACTION_BITS) as i32;
    if biased == 0 {
        return None;
    }
    // value = mantissa / 2^scale
    let mantissa = bits & ((1 << FRACTION_BITS) - 1) | 1 << FRACTION_BITS;
    let scale = 1075 - biased;
    // 1233 / 4096 is log10(2) from below: right, or one too small.
    let mut exponent = ((biased - 1023) * 1233) >> 12;
    loop {
        // value * 10^power has its first 16 digits before the point; 10^power = 5^power * 2^power.
        let power = DIGITS - 1 - exponent;
        let five = *POWERS_OF_5.get(usize::try_from(power).ok()?)?;
        let shift = u32::try_from(scale - power).ok().filter(|shift| (1..128).contains(shift))?;
        let product = u128::from(mantissa) * u128::from(five);
        let whole = product >> shift;
        if whole >= LIMIT {
            exponent += 1;
            continue;
        }
        if whole < LIMIT / 10 {
            exponent -= 1;
            continue;
        }
        let half = 1_u128 << (shift - 1);
        let rest = product & ((half << 1) - 1);
        let up = rest > half || (rest == half && whole & 1 == 1);
        let rounded = whole + u128::from(up);
        return Some(if rounded == LIMIT {
            ((LIMIT / 10) as u64, exponent + 1)
        } else {
            (rounded as u64, exponent)
        });
    }
}

/// As [`decimal`] for every positive value, through the standard library's exact `{:e}`.
#[cold]
fn decimal_slow(value: f64) -> (u64, i32) {
    // One digit, a point, fifteen digits, `e`, and at most `-324`.
    let mut text = [0_u8; 24];
    let mut rest = &mut text[..];
    write!(rest, "{value:.15e}").expect("23 bytes are the longest such text");
    let unused = rest.len();
    let text = &text[..text.len() - unused];
    let (mut digits, mut exponent, mut negative, mut in_exponent) = (0, 0, false, false);
    for byte in text {
        match byte {
            b'e' => in_exponent = true,
            b'-' => negative = true,
            b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            _ => {}
        }
    }
    (digits, if negative { -exponent } else { exponent })
}

/// Lays out 16 digits as `%g` does: no trailing zeros, and an exponent below -4 or from 16. Returns what a parser makes of
/// the text, where that is plain: digits before and behind the point, all in all below 2^53, are divided by a power of ten,
/// and both are exact.
fn write_general(number: u64, exponent: i32, out: &mut Vec<u8>) -> Option<f64> {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let digits = &digits[..(digits.len() - zeros).max(1)];
    let fraction = usize::try_from(digits.len() as i32 - 1 - exponent).ok();
    let value = fraction
        .filter(|fraction| *fraction > 0 && (-4..DIGITS).contains(&exponent))
        .and_then(|fraction| POWERS_OF_10.get(fraction))
        .zip(Some(number / 10_u64.pow(zeros as u32)).filter(|number| *number < 1 << 53))
        .map(|(power, number)| number as f64 / power);
    match exponent {
        -4..0 => {
            out.extend_from_slice(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
            out.extend_from_slice(digits);
        }
        0..DIGITS => {
            let before_point = exponent as usize + 1;
            out.extend_from_slice(&digits[..before_point.min(digits.len())]);
            out.resize(out.len() + before_point.saturating_sub(digits.len()), b'0');
            if digits.len() > before_point {
                out.push(b'.');
                out.extend_from_slice(&digits[before_point..]);
            }
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            let exponent = exponent.unsigned_abs();
            if exponent < 10 {
                out.push(b'0');
            }
            out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: f64, expected: &str) {
        let mut out = Vec::new();
        write(value, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{value:e}");
    }

    #[test]
    fn whole_floats_keep_one_zero_within_the_range_of_an_int64() {
        check(0.0, "0.0");
        check(-0.0, "-0.0");
        check(1.0, "1.0");
        check(1e3, "1000.0");
        check(-1e15, "-1000000000000000.0");
        check(9007199254740993.0, "9007199254740992.0");
        check(9223372036854774784.0, "9223372036854774784.0");
        check(-9223372036854775808.0, "-9223372036854775808.0");
        check(9223372036854775808.0, "9.223372036854776e+18");
        check(-9223372036854777856.0, "-9.223372036854778e+18");
        check(18446744073709551616.0, "1.844674407370955e+19");
    }

    // The expectations below are what glibc's printf prints for %.16g.

    #[test]
    fn fractions_have_sixteen_digits_without_trailing_zeros() {
        check(0.1, "0.1");
        check(-0.5, "-0.5");
        check(1234567.125, "1234567.125");
        check(std::f64::consts::PI, "3.141592653589793");
        check(1666270588.271704, "1666270588.271704");
        check(0.009, "0.008999999999999999");
        check(0.07, "0.07000000000000001");
        check(0.3, "0.3");
        check(0.1 + 0.2, "0.3");
        check(std::f64::consts::SQRT_2, "1.414213562373095");
        check(123456789012345.67, "123456789012345.7");
        check(1000000000000000.5, "1000000000000000");
        check(1000000000000001.5, "1000000000000002");
        check(4503599627370495.5, "4503599627370496");
        check(f64::from(0.1_f32), "0.1000000014901161");
    }

    #[test]
    fn small_and_large_ones_have_an_exponent_of_two_digits_or_three() {
        check(1e-4, "0.0001");
        check(0.00012345, "0.00012345");
        check(9.999999999999999e-5, "9.999999999999999e-05");
        check(1e-5, "1e-05");
        check(-2.5e-10, "-2.5e-10");
        check(1e-12, "1e-12");
        check(1e-13, "1e-13");
        check(1.5e-100, "1.5e-100");
        check(1e300, "1e+300");
        check(1.25e20, "1.25e+20");
        check(f64::MAX, "1.797693134862316e+308");
        check(f64::MIN_POSITIVE, "2.225073858507201e-308");
        check(5e-324, "4.940656458412465e-324");
        check(9.5367431640625e-07, "9.5367431640625e-07");
    }

    #[test]
    fn rounding_up_to_a_power_of_ten_moves_the_point() {
        // These doubles lie below the power of ten they stand for.
        check(1e-6, "1e-06");
        check(1e-7, "1e-07");
        check(1.0_f64.next_down(), "0.9999999999999999");
        check(1e23, "9.999999999999999e+22");
    }

    #[test]
    fn what_is_no_number_is_null() {
        check(f64::NAN, "null");
        check(-f64::NAN, "null");
        check(f64::INFINITY, "null");
        check(f64::NEG_INFINITY, "null");
    }

    /// As C's `%.16g` is defined, through the standard library's exact `{:e}` and `{:f}`.
    fn oracle(value: f64) -> String {
        let scientific = format!("{value:.15e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let strip = |text: &str| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        if (-4..16).contains(&exponent) {
            return strip(&format!("{value:.*}", (15 - exponent) as usize));
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", strip(mantissa), exponent.abs())
    }

    fn check_oracle(value: f64) {
        if value.is_finite() && !is_whole(value) {
            check(value, &oracle(value));
        }
        let positive = value.abs();
        if positive > 0.0
            && positive.is_finite()
            && let Some(fast) = decimal(positive)
        {
            assert_eq!(fast, decimal_slow(positive), "{value:e}");
        }
    }

    #[test]
    fn neighbours_of_powers_of_ten_and_two_agree_with_the_oracle() {
        for exponent in -20..20 {
            for base in [10.0_f64, 2.0] {
                for factor in [1.0, 0.5, 5.0] {
                    let value = base.powi(exponent) * factor;
                    check_oracle(value);
                    check_oracle(value.next_up());
                    check_oracle(value.next_down());
                }
            }
        }
    }

    #[test]
    fn every_thousandth_below_a_hundred_agrees_with_the_oracle() {
        for thousandths in 0..100_000 {
            check_oracle(f64::from(thousandths) / 1000.0);
        }
    }

    proptest! {
        #[test]
        fn all_bit_patterns_agree_with_the_oracle(bits: u64) {
            check_oracle(f64::from_bits(bits));
        }

        #[test]
        fn everyday_numbers_agree_with_the_oracle(
            mantissa in 0_u64..1 << 53, exponent in -30_i32..30
        ) {
            check_oracle(mantissa as f64 * 10.0_f64.powi(exponent));
            check_oracle(mantissa as f64 * 2.0_f64.powi(exponent * 3));
        }

        #[test]
        fn halfway_cases_agree_with_the_oracle(whole in 1_u64 << 49..1 << 52, eighths in 0_u8..8) {
            check_oracle(whole as f64 + f64::from(eighths) / 8.0);
        }
    }
}
