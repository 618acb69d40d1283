//! What formats print.

use super::*;

/// An argument.
enum A {
    Word(i32),
    Long(i64),
    Double(f64),
    Text(&'static str),
}

use A::{Double, Long, Text, Word};

/// Keeps what is printed.
#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn write(&mut self, _memory: &mut [u8], bytes: &[u8]) -> Result<(), Fault> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, memory: &mut [u8], from: Range<usize>) -> Result<(), Fault> {
        self.0.extend_from_slice(&memory[from]);
        Ok(())
    }

    fn look(&self) -> Result<(), Trap> {
        Ok(())
    }
}

const FORMAT: usize = 0x1000;
const ARGUMENTS: usize = 0x2000;
const TEXTS: usize = 0x4000;

/// A guest's memory with a format, its `va_list` as clang writes it, and its texts.
fn memory(format: &[u8], arguments: &[A]) -> Vec<u8> {
    let mut memory = vec![0; 0x10000];
    memory[FORMAT..FORMAT + format.len()].copy_from_slice(format);
    let (mut at, mut text) = (ARGUMENTS, TEXTS);
    let mut put = |memory: &mut [u8], bytes: &[u8]| {
        at = at.next_multiple_of(bytes.len());
        memory[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for argument in arguments {
        match argument {
            Word(value) => put(&mut memory, &value.to_le_bytes()),
            Long(value) => put(&mut memory, &value.to_le_bytes()),
            Double(value) => put(&mut memory, &value.to_le_bytes()),
            Text(value) => {
                put(&mut memory, &(text as u32).to_le_bytes());
                memory[text..text + value.len()].copy_from_slice(value.as_bytes());
                text += value.len() + 1;
            }
        }
    }
    memory
}

fn printed(format: &[u8], arguments: &[A]) -> Result<(Vec<u8>, u32), Fault> {
    let mut kept = Kept::default();
    let mut memory = memory(format, arguments);
    let count = print(&mut memory, FORMAT as u32, ARGUMENTS as u32, &mut kept)?;
    Ok((kept.0, count))
}

fn check(format: &str, arguments: &[A], expected: &str) {
    let (bytes, count) = printed(format.as_bytes(), arguments).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), expected, "{format:?}");
    assert_eq!(count as usize, expected.len(), "{format:?}");
}

#[test]
fn what_is_no_conversion_stays() {
    check("", &[], "");
    check("plain text, 100%%", &[], "plain text, 100%");
    check("%5%", &[], "%");
}

#[test]
fn a_format_ends_before_a_directive_without_end() {
    check(&format!("a%{}d", "-".repeat(LONGEST - 2)), &[Word(7)], "a7");
    check(&format!("a%{}d", "-".repeat(LONGEST)), &[Word(7)], "a");
    check(&format!("a%{}d", "1".repeat(LONGEST)), &[Word(7)], "a");
}

#[test]
fn integers() {
    check("%d %i %u", &[Word(-42), Word(7), Word(-1)], "-42 7 4294967295");
    check("%o %x %X", &[Word(8), Word(255), Word(255)], "10 ff FF");
    check("%d|%d", &[Word(i32::MIN), Word(0)], "-2147483648|0");
    check(
        "%5d|%-5d|%05d|%+d|% d",
        &[Word(42), Word(42), Word(42), Word(42), Word(42)],
        "   42|42   |00042|+42| 42",
    );
    check(
        "%05d|%+05d|% 05d|%-05d|",
        &[Word(-42), Word(42), Word(42), Word(42)],
        "-0042|+0042| 0042|42   |",
    );
    check(
        "%.3d|%8.3d|%-8.3d|%08.3d",
        &[Word(7), Word(-7), Word(7), Word(7)],
        "007|    -007|007     |     007",
    );
    check("%.0d|%.d|%.0u|%.0x|%5.0d", &[Word(0), Word(0), Word(0), Word(0), Word(0)], "||||     ");
    check(
        "%#x|%#X|%#o|%#x|%#o|%#.0o",
        &[Word(255), Word(255), Word(8), Word(0), Word(0), Word(0)],
        "0xff|0XFF|010|0|0|0",
    );
    check(
        "%#8x|%#08x|%-#8x|%#.3o",
        &[Word(255), Word(255), Word(255), Word(8)],
        "    0xff|0x0000ff|0xff    |010",
    );
    check("%+u|% x", &[Word(1), Word(1)], "1|1");
}

#[test]
fn integers_of_every_size() {
    check(
        "%ld %lu %zu %zd %td %hd",
        &[Word(-1), Word(-1), Word(-1), Word(-1), Word(-1), Word(65537)],
        "-1 4294967295 4294967295 -1 -1 1",
    );
    check("%hhd %hhu %hu %hhx", &[Word(255), Word(257), Word(65537), Word(-1)], "-1 1 1 ff");
    check(
        "%lld %llu %jd",
        &[Long(i64::MIN), Long(-1), Long(1 << 40)],
        "-9223372036854775808 18446744073709551615 1099511627776",
    );
    check("%llx %#llo", &[Long(-1), Long(8)], "ffffffffffffffff 010");
    // What is 64 bits wide stands at a multiple of 8.
    check("%d %lld %d %lld", &[Word(1), Long(2), Word(3), Long(4)], "1 2 3 4");
}

#[test]
fn widths_and_precisions_from_arguments() {
    check(
        "%*d|%-*d|%*d|",
        &[Word(4), Word(7), Word(4), Word(7), Word(-4), Word(7)],
        "   7|7   |7   |",
    );
    check(
        "%.*d|%.*d|%.*s",
        &[Word(3), Word(7), Word(-1), Word(7), Word(2), Text("abc")],
        "007|7|ab",
    );
}

#[test]
fn texts() {
    check("%s", &[Text("hello")], "hello");
    check(
        "%8s|%-8s|%.2s|%8.2s|%.9s|%.0s|",
        &[Text("hello"), Text("hello"), Text("hello"), Text("hello"), Text("hello"), Text("hello")],
        "   hello|hello   |he|      he|hello||",
    );
    check("[%s]%s", &[Text(""), Text("x")], "[]x");
    check("%s", &[Text("äß€")], "äß€");
    check("%s %10s %.3s|", &[Word(0), Word(0), Word(0)], "(null)     (null) |");
}

#[test]
fn characters() {
    check("%c%c%3c|%-3c|", &[Word(104), Word(105), Word(33), Word(63)], "hi  !|?  |");
    check("[%c][%3c][%-3c]", &[Word(0), Word(0), Word(0)], "[][  ][]");
    let (bytes, count) = printed(b"%c", &[Word(0x1e4)]).unwrap();
    assert_eq!((&bytes[..], count), (&b"\xe4"[..], 1));
}

#[test]
fn pointers() {
    check(
        "%p %p|%12p|%-12p|",
        &[Word(0x1234), Word(0), Word(0x1234), Word(0)],
        "0x1234 (nil)|      0x1234|(nil)       |",
    );
}

#[test]
fn fixed_floats() {
    check("%f %f %f", &[Double(9.14159), Double(-0.5), Double(0.0)], "9.141590 -0.500000 0.000000");
    check(
        "%.0f %.0f %.0f %.0f %#.0f",
        &[Double(0.5), Double(1.5), Double(2.5), Double(-0.4), Double(3.0)],
        "0 2 2 -0 3.",
    );
    check(
        "%.2f|%8.2f|%-8.2f|%08.2f|%+.1f|% .1f",
        &[Double(2.675), Double(-1.5), Double(1.5), Double(-1.5), Double(1.0), Double(1.0)],
        "2.67|   -1.50|1.50    |-0001.50|+1.0| 1.0",
    );
    check("%f", &[Double(1e22)], "10000000000000000000000.000000");
    check("%.20f", &[Double(0.1)], "0.10000000000000000555");
    check("%lf %Lf", &[Double(1.5)], "1.500000 %Lf");
    check("%d %f %d", &[Word(1), Double(2.0), Word(3)], "1 2.000000 3");
    let (bytes, _) = printed(b"%f", &[Double(f64::MAX)]).unwrap();
    assert_eq!((bytes.len(), &bytes[..8]), (316, &b"17976931"[..]));
}

#[test]
fn exponential_floats() {
    check("%e %E", &[Double(123456.0), Double(0.00012)], "1.234560e+05 1.200000E-04");
    check("%.0e %#.0e %.3e", &[Double(15.0), Double(15.0), Double(0.0)], "2e+01 2.e+01 0.000e+00");
    check("%e %e", &[Double(1e100), Double(5e-324)], "1.000000e+100 4.940656e-324");
    check(
        "%12.2e|%-12.2e|%012.2e",
        &[Double(-1.0), Double(1.0), Double(-1.0)],
        "   -1.00e+00|1.00e+00    |-0001.00e+00",
    );
}

#[test]
fn general_floats() {
    check(
        "%g %g %g %g",
        &[Double(0.0001), Double(0.00001), Double(100_000.0), Double(1_000_000.0)],
        "0.0001 1e-05 100000 1e+06",
    );
    check("%g %g %g %G", &[Double(0.1), Double(1.0), Double(0.0), Double(1e-10)], "0.1 1 0 1E-10");
    check("%#g %#g %#.3g", &[Double(1.0), Double(1e10), Double(100.0)], "1.00000 1.00000e+10 100.");
    check(
        "%.3g %.0g %.10g %.17g",
        &[Double(1234.0), Double(0.05), Double(1.0 / 3.0), Double(0.1)],
        "1.23e+03 0.05 0.3333333333 0.10000000000000001",
    );
    check("%.1g %.2g %g", &[Double(9.96), Double(9.96), Double(999_999.5)], "1e+01 10 1e+06");
    check(
        "%10g|%-10g|%010g",
        &[Double(-1.5), Double(1.5), Double(-1.5)],
        "      -1.5|1.5       |-0000001.5",
    );
}

#[test]
fn floats_that_are_no_numbers() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    check(
        "%f %e %g %F %E %G",
        &[Double(inf), Double(-inf), Double(nan), Double(inf), Double(nan), Double(-inf)],
        "inf -inf nan INF NAN -INF",
    );
    check(
        "%6f|%06f|%-6f|%+f|%.1f",
        &[Double(inf), Double(inf), Double(inf), Double(inf), Double(-nan)],
        "   inf|   inf|inf   |+inf|-nan",
    );
}

#[test]
fn what_c_leaves_open_is_as_in_the_original() {
    check("%y %k %", &[], "%y %k ");
    check("50% off%5", &[Word(0o17)], "5017ff");
    check("a%nb", &[], "ab");
    check("%5.2Lf|%a", &[], "%Lf|%a");
    check("100%", &[], "100");
    check("%-+ #0", &[], "");
    check("%lc%ls", &[Word(65), Text("x")], "Ax");
}

#[test]
fn widths_are_bounded() {
    for format in [
        "%999999999d",
        "%-999999999d",
        "%0999999999d",
        "%.999999999d",
        "%99999999999999999999s",
        "%.9999f",
    ] {
        let (bytes, count) = printed(format.as_bytes(), &[Long(0)]).unwrap();
        assert!((MOST..=MOST + 2).contains(&bytes.len()), "{format}: {}", bytes.len());
        assert_eq!(bytes.len(), count as usize);
    }
    let (bytes, _) = printed(b"%*d", &[Word(i32::MIN), Word(0)]).unwrap();
    assert_eq!(bytes.len(), MOST);
}

#[test]
fn what_lies_outside_memory_is_a_trap() {
    let outside = |format: u32, arguments: u32, text: &[u8]| {
        let mut memory = memory(b"%d%s%lld", &[Word(1), Text("x")]);
        let at = memory.len() - text.len();
        memory[at..].copy_from_slice(text);
        let error = print(&mut memory, format, arguments, &mut Kept::default()).unwrap_err();
        assert_eq!(error, Trap::MemoryOutOfBounds.into());
    };
    let end = 0x10000;
    outside(end, ARGUMENTS as u32, b"");
    outside(u32::MAX, ARGUMENTS as u32, b"");
    outside(FORMAT as u32, end - 3, b"");
    outside(FORMAT as u32, u32::MAX, b"");
    // A format, and a text, without NUL.
    outside(end - 3, ARGUMENTS as u32, b"%da");
    outside(FORMAT as u32, end - 16, &[0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}
