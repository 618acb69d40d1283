//! Makes files of JSON lines: the same bytes on every machine.

use std::fmt::Write as _;

/// What the lines are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A web service's log: nine keys, one of them a map.
    Service,
    /// One key whose text fills the line.
    Text,
    /// As many keys as there is room for.
    Keys,
}

/// About `bytes` bytes of lines of `length` bytes each, newline included.
pub(super) fn file(shape: Shape, length: usize, lines: usize) -> String {
    let mut random = Random(0x5eed);
    let mut text = String::with_capacity(length * lines);
    for _ in 0..lines {
        let start = text.len();
        match shape {
            Shape::Service => service(&mut text, &mut random),
            Shape::Text => text.push_str("{\"log\":\""),
            Shape::Keys => keys(&mut text, &mut random, length),
        }
        if shape != Shape::Keys {
            fill(&mut text, start + length - 3);
            text.push_str("\"}");
        }
        text.push('\n');
    }
    text
}

/// All that a parser can trip over, and that both agents keep.
pub(super) fn hostile() -> String {
    let nested = format!("{}1{}", "{\"a\":[".repeat(20), "]}".repeat(20));
    let mut text = String::new();
    for line in [
        r#"{"int":[0,-1,127,128,255,256,65535,65536,4294967295,4294967296,18446744073709551615]}"#,
        r#"{"int":[-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]}"#,
        r#"{"float":[0.1,0.009,0.07,-0.0,1.0,1e3,1.5e300,5e-324,3.141592653589793,123456789.125]}"#,
        r#"{"text":"q \" b \\ s \/ n \n r \r t \t b \b f \f u \u00e9 \u20ac \ud83d\ude00 d \u007f"}"#,
        r#"{"raw":"größe 日本語 🦀","":"","empty":{},"list":[]}"#,
        r#"{"twice":1,"other":2,"twice":3}"#,
        r#" { "blanks" : [ 1 , 2 ] , "t" : true , "f" : false , "n" : null } "#,
        "{}",
        "not json at all",
        "{\"cut\":",
        &nested,
    ] {
        text += line;
        text.push('\n');
    }
    text
}

fn service(text: &mut String, random: &mut Random) {
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let level = random.of(&["debug", "info", "warn", "error"]);
    let service = random.of(&["cart", "checkout", "search", "auth"]);
    let method = random.of(&["GET", "POST"]);
    let path = random.of(&["/health", "/api/v1/cart", "/api/v1/items"]);
    let status = random.of(&["200", "201", "404", "500"]);
    let (host, request) = (random.below(100), random.next());
    let (latency, thousandths) = (random.below(100), random.below(1000));
    let bytes = random.below(100_000);
    let written = write!(
        text,
        r#"{{"time":"2026-11-22T{hour:02}:{minute:02}:{second:02}Z","level":"{level}","svc":"{service}","host":"n-{host:02}","id":"{request:016x}","status":{status},"ms":{latency}.{thousandths:03},"http":{{"method":"{method}","path":"{path}","bytes":{bytes}}},"msg":""#,
    );
    written.expect("a String takes all text");
}

fn keys(text: &mut String, random: &mut Random, length: usize) {
    let start = text.len();
    text.push('{');
    let mut number = 0;
    while text.len() - start < length - 80 {
        let (one, other) = (random.next(), random.below(1_000_000));
        let written =
            write!(text, r#""key_{number}":"{one:016x} some text of it","n_{number}":{other},"#);
        written.expect("a String takes all text");
        number += 1;
    }
    text.push_str(r#""last":true}"#);
}

/// Words up to the length `end`.
fn fill(text: &mut String, end: usize) {
    const WORDS: &str = "request served from the cache of the node behind the proxy ";
    while text.len() < end {
        let room = (end - text.len()).min(WORDS.len());
        text.push_str(&WORDS[..room]);
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.next() as usize % words.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_of_about_the_length_that_was_asked_for() {
        for (shape, length) in [(Shape::Service, 227), (Shape::Text, 100), (Shape::Keys, 10_000)] {
            let text = file(shape, length, 50);
            assert_eq!(text.lines().count(), 50);
            for line in text.lines() {
                let _: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!((line.len() + 1).abs_diff(length) <= length / 50 + 20, "{}", line.len());
            }
        }
    }
}
