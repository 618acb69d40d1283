//! The filters of the conformance suite, in Rust. README.md in the folder above says what each one does.

#![no_std]

use core::fmt::Write;

use flb_filter::{
    Context, Counter, Encode, Histogram, Kind, Level, Record, Start, Text, Time, Value, Verdict, Walk, Writer,
    array, binary, log, map, sha256, text,
};

#[flb_filter::start]
fn start(start: &Start) -> Result<(), &'static str> {
    if start.config("refuse").exists() { Err("told to refuse") } else { Ok(()) }
}

#[flb_filter::filter]
fn keep(_: &mut Record, _: &Context) -> Verdict {
    Verdict::Keep
}

#[flb_filter::filter]
fn drop_debug(record: &mut Record, _: &Context) -> Verdict {
    if record.get("level") == "debug" { Verdict::Drop } else { Verdict::Keep }
}

#[flb_filter::filter]
fn grep(record: &mut Record, _: &Context) -> Verdict {
    let [level, status] = record.get_all(["level", "status"]);
    let is_bad = level == "warn" || level == "error";
    if is_bad && status.as_i64().is_some_and(|status| status >= 400) {
        Verdict::Keep
    } else {
        Verdict::Drop
    }
}

#[flb_filter::filter]
fn append(record: &mut Record, _: &Context) -> Verdict {
    record.append("env", "production");
    Verdict::Keep
}

#[flb_filter::filter]
fn set(record: &mut Record, _: &Context) -> Verdict {
    record.set("level", "notice");
    record.set("n", -129);
    record.set("big", u64::MAX);
    record.set("half", 0.5);
    record.set("yes", true);
    record.set("none", ());
    record.set("raw", binary(&[0, 255]));
    Verdict::Keep
}

#[flb_filter::filter]
fn forget(record: &mut Record, _: &Context) -> Verdict {
    record.delete("id");
    Verdict::Keep
}

#[flb_filter::filter]
fn name(record: &mut Record, _: &Context) -> Verdict {
    record.rename("svc", "service");
    Verdict::Keep
}

#[flb_filter::filter]
fn mend(record: &mut Record, _: &Context) -> Verdict {
    let http = record.get("http");
    let (path, status) = (http.get("path"), http.get("status"));
    record.put(status, status.as_i64().map(|status| status + 1));
    record.put(path, "first");
    record.set("mended", true);
    record.put(path, "/");
    Verdict::Keep
}

#[flb_filter::filter]
fn wrap(record: &mut Record, ctx: &Context) -> Verdict {
    let (message, entries) = (record.get("message"), record.body().len());
    record.replace(map(|to| {
        to.entry("tags", array(|to| to.item(ctx.tag())));
        to.entry("message", message);
        to.entry("n", entries);
    }));
    Verdict::Keep
}

#[flb_filter::filter]
fn split(record: &mut Record, _: &Context) -> Verdict {
    let (items, Time { sec, nsec }) = (record.get("items").items(), record.time());
    record.split(|parts| {
        for (index, item) in items.enumerate() {
            let part = parts.add().body(item).time(Time { sec: sec + index as u32, nsec });
            part.tag("item").metadata(map(|to| to.entry("i", index)));
        }
    });
    Verdict::Keep
}

#[flb_filter::filter]
fn refuse(record: &mut Record, ctx: &Context) -> Verdict {
    if record.get("user").exists() {
        return Verdict::Keep;
    }
    record.fail(format_args!("no user in {}", ctx.tag()))
}

#[flb_filter::filter]
fn crash(record: &mut Record, _: &Context) -> Verdict {
    assert!(!record.get("crash").exists(), "as asked");
    Verdict::Keep
}

#[flb_filter::filter]
fn enrich(record: &mut Record, ctx: &Context) -> Verdict {
    record.set("tag", ctx.tag());
    record.set("time", record.time().rfc3339());
    record.set("original", record.json());
    Verdict::Keep
}

#[flb_filter::filter]
fn redact(record: &mut Record, _: &Context) -> Verdict {
    record.walk(|record, key, value| {
        if key.as_text().is_some_and(is_secret) {
            record.put(value, "***");
            return Walk::Past;
        }
        if let Some(letters) = value.as_text().filter(|text| text.find(b'@').is_some()) {
            record.put(value, text(|to| mask(&letters, |part| to.push(part))));
        }
        Walk::Into
    });
    Verdict::Keep
}

fn is_secret(key: Text) -> bool {
    let secrets: [&[u8]; 3] = [b"cookie", b"password", b"token"];
    secrets.iter().any(|secret| key.eq_ignore_ascii_case(secret))
}

/// `from jane.doe@example.com` -> `from ***@example.com`; everything beyond ASCII is a letter.
fn mask(letters: &[u8], mut push: impl FnMut(&[u8])) {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let is_name = |byte: &u8| is_letter(byte) || b"._%+-".contains(byte);
    let mut rest = letters;
    while let Some(at) = rest.iter().position(|byte| *byte == b'@') {
        let (before, behind) = rest.split_at(at);
        let behind = behind.get(1..).unwrap_or_default();
        let name = before.iter().rposition(|byte| !is_name(byte)).map_or(0, |last| last + 1);
        if name < at && behind.first().is_some_and(is_letter) {
            push(before.get(..name).unwrap_or_default());
            push(b"***@");
        } else {
            push(before);
            push(b"@");
        }
        rest = behind;
    }
    push(rest);
}

#[flb_filter::filter]
fn configured(record: &mut Record, ctx: &Context) -> Verdict {
    record.set("env", ctx.config("env"));
    Verdict::Keep
}

#[flb_filter::filter]
fn kinds(record: &mut Record, _: &Context) -> Verdict {
    let body = record.body();
    let kinds = text(|to| {
        for (_, value) in body.entries() {
            to.push(match value.kind() {
                Kind::Missing => "missing ",
                Kind::Nil => "nil ",
                Kind::Bool => "bool ",
                Kind::Int => "int ",
                Kind::Float => "float ",
                Kind::Text => "text ",
                Kind::Binary => "binary ",
                Kind::Extension => "extension ",
                Kind::Array => "array ",
                Kind::Map => "map ",
            });
        }
    });
    record.replace(map(|to| to.entry("kinds", kinds)));
    Verdict::Keep
}

#[flb_filter::filter]
fn copy(record: &mut Record, _: &Context) -> Verdict {
    record.replace(Copied(record.body()));
    Verdict::Keep
}

/// A value that is read and written again, so that it takes its shortest form.
struct Copied<'b>(Value<'b>);

impl Encode for Copied<'_> {
    fn encode(self, to: &mut Writer<'_>) {
        let Self(value) = self;
        match value.kind() {
            Kind::Missing | Kind::Nil => ().encode(to),
            Kind::Bool => value.as_bool().encode(to),
            Kind::Int => match value.as_i64() {
                Some(number) => number.encode(to),
                None => value.as_u64().encode(to),
            },
            Kind::Float => value.as_f64().encode(to),
            Kind::Text => value.as_text().encode(to),
            Kind::Binary => binary(value.as_binary().unwrap_or_default()).encode(to),
            Kind::Extension => value.encode(to),
            Kind::Array => array(|to| value.items().for_each(|item| to.item(Copied(item)))).encode(to),
            Kind::Map => map(|to| {
                value.entries().for_each(|(key, value)| to.entry(Copied(key), Copied(value)));
            })
            .encode(to),
        }
    }
}

#[flb_filter::filter]
fn ends(record: &mut Record, _: &Context) -> Verdict {
    record.set("first", record.body().first("level"));
    record.set("last", record.get("level"));
    Verdict::Keep
}

#[flb_filter::filter]
fn meta(record: &mut Record, _: &Context) -> Verdict {
    record.put(record.metadata().get("n"), "changed");
    record.metadata_mut().set("seen", true);
    record.metadata_mut().delete("secret");
    Verdict::Keep
}

#[flb_filter::filter]
fn move_on(record: &mut Record, _: &Context) -> Verdict {
    record.set_tag("moved");
    record.set_time(Time { sec: record.time().sec + 1, nsec: 7 });
    Verdict::Keep
}

#[flb_filter::filter]
fn digest(record: &mut Record, _: &Context) -> Verdict {
    let digest = sha256(record.body().raw());
    record.set("sha256", text(|to| {
        for byte in digest {
            let _ = write!(to, "{byte:02x}");
        }
    }));
    Verdict::Keep
}

static SEEN: Counter = Counter::new("seen");
static SIZES: Histogram = Histogram::new("sizes", &[2.0, 10.0]);

#[flb_filter::filter]
fn count(record: &mut Record, _: &Context) -> Verdict {
    SEEN.add(1);
    SIZES.observe(record.body().len() as f64);
    log(Level::Info, format_args!("counted"));
    Verdict::Keep
}

#[flb_filter::filter]
fn grow(record: &mut Record, _: &Context) -> Verdict {
    let size = record.get("size").as_u64().unwrap_or_default();
    record.append("big", text(|to| (0..size).for_each(|_| to.push("x"))));
    Verdict::Keep
}
