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
    /// As `Service`, with a text full of quotes, backslashes and line ends.
    Escapes,
    /// As `Service`, with a text in Greek and Japanese.
    Unicode,
    /// As `Service`, each line as a container runtime writes it.
    Container,
    /// A web server's access log, which is no JSON.
    Access,
    /// Messages of RFC 5424.
    Syslog,
}

/// So many lines of about `length` bytes each, newline included.
pub(super) fn file(shape: Shape, length: usize, lines: usize) -> String {
    let mut random = Random(0x5eed);
    let mut text = String::with_capacity(length * lines);
    for _ in 0..lines {
        let start = text.len();
        match shape {
            Shape::Service | Shape::Escapes | Shape::Unicode => service(&mut text, &mut random),
            Shape::Text => text.push_str("{\"log\":\""),
            Shape::Keys => keys(&mut text, &mut random, length),
            Shape::Container => {
                let (second, nanosecond) = (random.below(60), random.below(1_000_000_000));
                let written =
                    write!(text, "2026-11-22T10:00:{second:02}.{nanosecond:09}Z stdout F ");
                written.expect("a String takes all text");
                service(&mut text, &mut random);
            }
            Shape::Access => access(&mut text, &mut random),
            Shape::Syslog => syslog(&mut text, &mut random, length),
        }
        if !matches!(shape, Shape::Keys | Shape::Access | Shape::Syslog) {
            fill(&mut text, start + length - 3, shape.words());
            text.push_str("\"}");
        }
        text.push('\n');
    }
    text
}

/// All that a parser can trip over: values, texts, and lines that are not objects.
pub(super) fn hostile() -> Vec<u8> {
    const LINES: &[&[u8]] = &[
        br#"{"int":[0,-1,127,128,255,256,65535,65536,4294967295,4294967296,18446744073709551615]}"#,
        br#"{"int":[-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]}"#,
        br#"{"large":[18446744073709551616,-9223372036854775809,100000000000000000000000000]}"#,
        br#"{"zero":[-0,0.0,-0.0,0e5,0E-5,1E5,1e+5]}"#,
        br#"{"float":[0.1,0.009,0.07,-0.0,1.0,1e3,1.5e300,5e-324,3.141592653589793,123456789.125]}"#,
        br#"{"float":[1.7976931348623157e308,2.2250738585072011e-308,1e-400,0.30000000000000004]}"#,
        br#"{"overflow":1e400}"#,
        br#"{"number":007}"#,
        br#"{"number":+1}"#,
        br#"{"number":.5}"#,
        br#"{"number":1.}"#,
        br#"{"number":0x10}"#,
        br#"{"number":NaN}"#,
        br#"{"number":Infinity}"#,
        br#"{"number":-}"#,
        br#"{"text":"q \" b \\ s \/ n \n r \r t \t b \b f \f u \u00e9 \u20ac \ud83d\ude00 d \u007f"}"#,
        br#"{"nul":"a\u0000b"}"#,
        br#"{"lone":"\ud800 \udc00 \ud800\ud800"}"#,
        br#"{"lone":"\ud800x"}"#,
        br#"{"escape":"\x41"}"#,
        br#"{"escape":"\u12"}"#,
        br#"{"escape":"\"#,
        b"{\"tab\":\"a\tb\x01c\x7f\"}",
        b"{\"bytes\":\"\xff\xfe\"}",
        b"{\"bytes\":\"caf\xe9 ol\xe9\"}",
        b"{\"bytes\":\"\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82\"}",
        b"{\"\xff\":1}",
        "{\"raw\":\"größe 日本語 🦀\",\"\":\"\",\"empty\":{},\"list\":[]}".as_bytes(),
        "\u{feff}{\"mark\":1}".as_bytes(),
        br#"{"twice":1,"other":2,"twice":3}"#,
        br#"{"twice":{"twice":1,"twice":2},"twice":{"a":[{"b":1,"b":2}]}}"#,
        br#" { "blanks" : [ 1 , 2 ] , "t" : true , "f" : false , "n" : null } "#,
        b"{\"blanks\":1}\t",
        b"{\"return\":1}\r",
        br#"{"comma":[1,],}"#,
        br#"{"comma":1,}"#,
        br#"{"no colon" 1}"#,
        br#"{'quotes':1}"#,
        br#"{key:1}"#,
        br#"{"a":1}xyz"#,
        br#"{"a":1} {"b":2}"#,
        br#"{"a":1}}"#,
        br#"{"word":tru}"#,
        br#"{"word":True}"#,
        br#"{"a":/* no */1}"#,
        b"{}",
        b"[]",
        b"[1,2]",
        br#"[{"a":1}]"#,
        b"42",
        b"null",
        br#""text""#,
        b"not json at all",
        b"{\"cut\":",
        b"{\"cut\":\"",
        b"{",
        b"}",
        b" ",
        b"a\0b",
    ];
    let mut text = LINES.join(&b'\n');
    text.push(b'\n');
    for depth in [20, 60, 200] {
        text.extend(format!("{}1{}\n", "{\"a\":[".repeat(depth), "]}".repeat(depth)).bytes());
    }
    text.extend(format!("{{\"{}\":1}}\n", "k".repeat(70_000)).bytes());
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

fn access(text: &mut String, random: &mut Random) {
    let (host, day, second) = (random.below(256), random.below(28) + 1, random.below(60));
    let path = random.of(&["/health", "/api/v1/cart?step=2", "/api/v1/items/1729"]);
    let status = random.of(&["200", "201", "404", "500"]);
    let size = random.below(100_000);
    let written = write!(
        text,
        r#"10.0.{host}.17 - frank [{day:02}/Nov/2026:13:55:{second:02} +0000] "GET {path} HTTP/1.1" {status} {size} "https://www.example.com/start.html" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)""#,
    );
    written.expect("a String takes all text");
}

fn syslog(text: &mut String, random: &mut Random, length: usize) {
    let (start, micros, id) = (text.len(), random.below(1_000_000), random.below(32_768));
    let written = write!(
        text,
        "<165>1 2026-11-22T10:00:{:02}.{micros:06}Z node-7.example.com proxy {id} ID47 - ",
        random.below(60)
    );
    written.expect("a String takes all text");
    fill(text, start + length - 1, Shape::Syslog.words());
}

impl Shape {
    /// What texts are filled with.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Escapes => &[r#"say \"hi\""#, r"\n\tat C:\\tmp\\x", r"\r\n", r"a\/b "],
            Self::Unicode => &["αίτημα ", "キャッシュ", "から", "größer ", "🦀"],
            _ => &["request ", "served ", "from ", "the ", "cache of the node behind the proxy "],
        }
    }
}

/// Words up to the length `end`, or a little less.
fn fill(text: &mut String, end: usize, words: &[&str]) {
    for word in words.iter().cycle() {
        if text.len() + word.len() > end {
            break;
        }
        text.push_str(word);
    }
    // What is left of the last word.
    while text.len() < end {
        text.push('.');
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
        let shapes = [
            (Shape::Service, 227),
            (Shape::Escapes, 260),
            (Shape::Unicode, 260),
            (Shape::Text, 100),
            (Shape::Keys, 10_000),
        ];
        for (shape, length) in shapes {
            let text = file(shape, length, 50);
            assert_eq!(text.lines().count(), 50);
            for line in text.lines() {
                let _: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!((line.len() + 1).abs_diff(length) <= length / 50 + 20, "{}", line.len());
            }
        }
    }
}
