//! Numbers as `printf` writes them.

use super::Directive;

/// `%d` and `%i`.
pub(super) fn signed(directive: &Directive, value: i64) -> Vec<u8> {
    let digits = with_precision(directive, value.unsigned_abs().to_string(), value == 0);
    pad(directive, sign(directive, value < 0), &digits, directive.precision.is_none())
}

/// `%o`, `%u`, `%x` and `%X`.
pub(super) fn unsigned(directive: &Directive, value: u64) -> Vec<u8> {
    let digits = match directive.conversion {
        b'o' => format!("{value:o}"),
        b'x' => format!("{value:x}"),
        b'X' => format!("{value:X}"),
        _ => value.to_string(),
    };
    let mut digits = with_precision(directive, digits, value == 0);
    let prefix = match directive.conversion {
        b'x' if directive.is_alternative && value != 0 => "0x",
        b'X' if directive.is_alternative && value != 0 => "0X",
        _ => "",
    };
    if directive.conversion == b'o' && directive.is_alternative && !digits.starts_with('0') {
        digits.insert(0, '0');
    }
    pad(directive, prefix, &digits, directive.precision.is_none())
}

/// `%p`.
pub(super) fn pointer(directive: &Directive, value: u64) -> Vec<u8> {
    if value == 0 {
        return pad(directive, "", "(nil)", false);
    }
    let digits = with_precision(directive, format!("{value:x}"), false);
    pad(directive, "0x", &digits, directive.precision.is_none())
}

/// At least as many digits as the precision says; none for a 0 with precision 0.
fn with_precision(directive: &Directive, digits: String, is_zero: bool) -> String {
    match directive.digits() {
        Some(0) if is_zero => String::new(),
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits,
    }
}

fn sign(directive: &Directive, is_negative: bool) -> &'static str {
    match directive {
        _ if is_negative => "-",
        Directive { shows_plus: true, .. } => "+",
        Directive { shows_space: true, .. } => " ",
        _ => "",
    }
}

/// Fills up to the width: with blanks on one side, or with zeros between sign and digits.
fn pad(directive: &Directive, sign: &str, digits: &str, may_have_zeros: bool) -> Vec<u8> {
    let blanks = directive.width.saturating_sub(sign.len() + digits.len());
    match directive {
        Directive { is_left: true, .. } => format!("{sign}{digits}{:blanks$}", ""),
        Directive { has_zeros: true, .. } if may_have_zeros => {
            format!("{sign}{:0<blanks$}{digits}", "")
        }
        _ => format!("{:blanks$}{sign}{digits}", ""),
    }
    .into_bytes()
}

/// `%e`, `%f` and `%g`, small and capital.
pub(super) fn float(directive: &Directive, value: f64) -> Vec<u8> {
    let sign = sign(directive, value.is_sign_negative());
    let value = value.abs();
    let precision = directive.digits().unwrap_or(6);
    let digits = match directive.conversion.to_ascii_lowercase() {
        _ if value.is_nan() => "nan".to_owned(),
        _ if value.is_infinite() => "inf".to_owned(),
        b'e' => exponential(value, precision, directive.is_alternative),
        b'g' => general(value, precision.max(1), directive.is_alternative),
        _ => fixed(value, precision, directive.is_alternative),
    };
    let mut padded = pad(directive, sign, &digits, value.is_finite());
    if directive.conversion.is_ascii_uppercase() {
        padded.make_ascii_uppercase();
    }
    padded
}

/// With so many digits behind the point, which is left out if there are none, unless it is asked for.
fn fixed(value: f64, precision: usize, has_point: bool) -> String {
    let point = if has_point && precision == 0 { "." } else { "" };
    format!("{value:.precision$}{point}")
}

/// One digit before the point, and an exponent of at least two digits.
fn exponential(value: f64, precision: usize, has_point: bool) -> String {
    let (mantissa, exponent) = scientific(value, precision);
    let point = if has_point && precision == 0 { "." } else { "" };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{point}e{sign}{:02}", exponent.unsigned_abs())
}

/// So many significant digits, in whichever form is shorter; zeros at the end only if they are asked for.
fn general(value: f64, precision: usize, has_zeros: bool) -> String {
    let (mantissa, exponent) = scientific(value, precision - 1);
    let is_fixed =
        usize::try_from(exponent).map_or(exponent >= -4, |exponent| exponent < precision);
    if is_fixed {
        // It is from 0 to 4 digits more, or up to all of them less: never negative.
        let behind = (precision as i64 - 1 - i64::from(exponent)).unsigned_abs() as usize;
        let digits = fixed(value, behind, has_zeros);
        return if has_zeros { digits } else { without_zeros(&digits).to_owned() };
    }
    let digits = exponential(value, precision - 1, has_zeros);
    match digits.split_once('e') {
        Some((_, exponent)) if !has_zeros => format!("{}e{exponent}", without_zeros(&mantissa)),
        _ => digits,
    }
}

/// Mantissa and exponent.
fn scientific(value: f64, precision: usize) -> (String, i32) {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        // A f64 has no exponent of more digits than these.
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
