//! Messages byte by byte, and real servers that read them.

use std::process::Command;
use std::time::{Duration, Instant};

use flb_harness::net::{Identity, block_on};
use flb_harness::{build, build_with, chunk, options};
use flb_plugin::Flush;
use flb_testkit::Program;
use flb_testkit::servers::{self, free_port};

use super::*;

const TIME: (u32, u32) = (1_700_000_000, 123_456_789);

/// The messages of records, and what was strange.
fn written(given: &[(&str, &str)], bodies: &[&str]) -> String {
    let read = options(SPEC.options, given);
    let writer = writer(&read, read.get(MODE)).unwrap();
    let records: Vec<_> = bodies.iter().map(|body| (TIME.0, TIME.1, *body)).collect();
    let mut out = Vec::new();
    for event in chunk("t", &records).records() {
        if let Some(strange) = writer.write(event, &mut out) {
            out.extend_from_slice(format!("({strange})").as_bytes());
        }
    }
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(given: &[(&str, &str)], body: &str, expected: &str) {
    assert_eq!(written(given, &[body]), expected);
}

const LOG: (&str, &str) = ("syslog_message_key", "log");
const OLD: (&str, &str) = ("syslog_format", "rfc3164");

#[test]
fn a_message_has_what_its_keys_name_or_the_presets() {
    let keys = [
        LOG,
        ("syslog_severity_key", "level"),
        ("syslog_facility_key", "facility"),
        ("syslog_hostname_key", "host"),
        ("syslog_appname_key", "app"),
        ("syslog_procid_key", "pid"),
        ("syslog_msgid_key", "kind"),
    ];
    let body = r#"{"log":"hé","level":"ERR","facility":"local7","host":"h","app":"a","pid":7,"kind":true}"#;
    let new = "<187>1 2023-11-14T22:13:20.123456Z h a 7 true - \u{feff}hé";
    check(&keys, body, new);
    check(&[&keys[..], &[OLD]].concat(), body, "<187>Nov 14 22:13:20 h a[7]: hé");
    let none = "<14>1 2023-11-14T22:13:20.123456Z - - - - - \u{feff}x";
    check(&keys, r#"{"log":"x","host":null,"app":"","pid":[1]}"#, none);
    check(&[&keys[..], &[OLD]].concat(), r#"{"log":"x"}"#, "<14>Nov 14 22:13:20 x");
    let presets = [
        ("syslog_severity_preset", "2"),
        ("syslog_facility_preset", "23"),
        ("syslog_hostname_preset", "web 1"),
        ("syslog_appname_preset", "shop"),
        ("syslog_procid_preset", "1"),
        ("syslog_msgid_preset", "m"),
    ];
    let all = [&keys[..], &presets].concat();
    check(&all, "{}", "<186>1 2023-11-14T22:13:20.123456Z web_1 shop 1 m -");
    check(
        &all,
        r#"{"level":"0","facility":"0"}"#,
        "<0>1 2023-11-14T22:13:20.123456Z web_1 shop 1 m -",
    );
}

#[test]
fn what_is_no_severity_or_facility_is_told_and_the_preset_sent() {
    let given = [LOG, OLD, ("syslog_severity_key", "s"), ("syslog_facility_key", "f")];
    for (body, expected) in [
        (r#"{"s":"8"}"#, "<14>Nov 14 22:13:20 ('8' is no severity)"),
        (r#"{"s":"loud","f":"23"}"#, "<190>Nov 14 22:13:20 ('loud' is no severity)"),
        (r#"{"s":"debug","f":"24"}"#, "<15>Nov 14 22:13:20 ('24' is no facility)"),
        (r#"{"f":"ftp","s":null}"#, "<94>Nov 14 22:13:20 "),
    ] {
        check(&given, body, expected);
    }
}

#[test]
fn maps_are_structured_data() {
    let given = [LOG, ("syslog_sd_key", "one"), ("syslog_sd_key", "a b")];
    let body = r#"{"a b":{"k=1":"q\"]\\","n":1.5,"l":[1],"x":null},"one":{},"log":"m"}"#;
    let expected = "<14>1 2023-11-14T22:13:20.123456Z - - - - [one][a_b k_1=\"q\\\"\\]\\\\\" n=\"1.500000\"] \u{feff}m";
    check(&given, body, expected);
    let name = "n".repeat(40);
    let body = format!("{{\"one\":{{\"{name}\":\"v\"}}}}");
    let text = |more: &[(&str, &str)]| written(&[&given[..], more].concat(), &[&body]);
    assert!(text(&[]).ends_with(&format!("[one {}=\"v\"]", &name[..32])));
    assert!(text(&[("allow_longer_sd_id", "on")]).ends_with(&format!("[one {name}=\"v\"]")));
}

#[test]
fn a_message_is_cut_between_characters_and_one_with_a_priority_goes_as_it_is() {
    let given = [LOG, OLD, ("syslog_maxsize", "24")];
    check(&given, r#"{"log":"aaaéb"}"#, "<14>Nov 14 22:13:20 aaa");
    check(&given, r#"{"log":"aaaa"}"#, "<14>Nov 14 22:13:20 aaaa");
    check(&given, r#"{"log":"<30>Oct 1 x: y"}"#, "<30>Oct 1 x: y");
    check(&given, r#"{"log":"<b>"}"#, "<14>Nov 14 22:13:20 <b>");
    let long = format!("{{\"log\":\"{}\"}}", "x".repeat(5000));
    assert_eq!(
        (written(&[LOG], &[&long]).len(), written(&[LOG, OLD], &[&long]).len()),
        (2048, 1024)
    );
}

#[test]
fn over_a_connection_a_newline_ends_a_message_and_nothing_else() {
    let given = [LOG, OLD, ("mode", "tcp"), ("syslog_sd_key", "sd")];
    let bodies = [r#"{"log":"a\nb\u0000c"}"#, r#"{"log":"<13>x\n<0>y"}"#];
    let expected = "<14>Nov 14 22:13:20 a#012b#000c\n<13>x#012<0>y\n";
    assert_eq!(written(&given, &bodies), expected);
    check(&[LOG, OLD], r#"{"log":"a\nb"}"#, "<14>Nov 14 22:13:20 a\nb");
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| {
        build_with(&options(SPEC.options, given), syslog).err().unwrap().to_string()
    };
    assert!(refused(&[("syslog_severity_preset", "8")]).contains("syslog_severity_preset 8"));
    assert!(refused(&[("syslog_facility_preset", "24")]).contains("syslog_facility_preset 24"));
    assert!(refused(&[("tls", "on")]).contains("mode udp does not go with tls on"));
    assert!(refused(&[("port", "x")]).contains("is not a port number"));
}

/// Messages that are sent to each server; as many datagrams have room in the system's memory for a socket.
const MESSAGES: u32 = 100;

/// Sends messages to a server that writes lines `app severity message` into a file, and compares them.
#[track_caller]
fn received(file: &std::path::Path, port: u16, given: &[(&str, &str)]) {
    let port = port.to_string();
    let own = [
        ("host", "localhost"),
        ("port", port.as_str()),
        LOG,
        ("syslog_appname_preset", "tester"),
        ("syslog_hostname_preset", "web"),
        ("syslog_severity_key", "level"),
    ];
    let output = build(&SPEC, &[&own, given].concat()).unwrap();
    let bodies: Vec<String> = (0..MESSAGES)
        .map(|n| format!("{{\"log\":\"message {n} of a test\",\"level\":\"notice\"}}"))
        .collect();
    let records: Vec<_> = bodies.iter().map(|body| (TIME.0, TIME.1, body.as_str())).collect();
    let records = chunk("t", &records);
    let deadline = Instant::now() + Duration::from_secs(20);
    block_on(async {
        // The server may not listen yet.
        while !matches!(output.flush(&records).await, Flush::Done) {
            assert!(Instant::now() < deadline, "nobody listens");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let expected: Vec<String> =
        (0..MESSAGES).map(|n| format!("tester notice message {n} of a test")).collect();
    loop {
        // Some keep the mark of UTF-8 before the text, or the blank behind the application's colon.
        let text = std::fs::read_to_string(file).unwrap_or_default().replace('\u{feff}', "");
        let text = text.replace("notice  ", "notice ");
        if text.lines().eq(expected.iter()) {
            return;
        }
        assert!(Instant::now() < deadline, "{given:?}: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a UDP port of this machine is taken.
fn is_bound(port: u16) -> bool {
    std::net::UdpSocket::bind(("127.0.0.1", port)).is_err()
}

fn wait_until_bound(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_bound(port) {
        assert!(Instant::now() < deadline, "nobody listens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every way to a server: the options, and whether it is by UDP.
const WAYS: [(&[(&str, &str)], &str); 5] = [
    (&[("mode", "udp")], "udp"),
    (&[("mode", "udp"), OLD], "udp"),
    (&[("mode", "tcp")], "tcp"),
    (&[("mode", "tcp"), OLD], "tcp"),
    (&[("mode", "tls")], "tls"),
];

/// Starts a server for each way, and sends to it.
fn every_way(start: impl Fn(&std::path::Path, &str, u16, &Identity) -> Option<Command>) {
    let identity = Identity::new();
    for (given, transport) in WAYS {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let Some(mut command) = start(folder.path(), transport, port, &identity) else { return };
        let server = Program::start(&mut command);
        if transport == "udp" {
            wait_until_bound(port);
        }
        let trust = [("tls.ca_file", identity.certificate())];
        received(&folder.path().join("out"), port, &[given, &trust].concat());
        server.terminate();
    }
}

#[test]
fn rsyslog_reads_what_is_sent_over_every_transport() {
    every_way(|folder, transport, port, identity| {
        let (mut command, driver) = servers::rsyslog()?;
        let place = folder.display();
        let (certificate, key) = (identity.certificate(), identity.key());
        let input = match transport {
            "udp" => format!(
                r#"module(load="imudp") input(type="imudp" address="127.0.0.1" port="{port}")"#
            ),
            "tcp" => format!(
                r#"module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="{port}")"#
            ),
            _ => format!(
                r#"module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="anon")
                input(type="imtcp" address="127.0.0.1" port="{port}")"#
            ),
        };
        let conf = format!(
            r#"global(workDirectory="{place}" defaultNetstreamDriverCAFile="{certificate}"
                defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
            template(name="line" type="string" string="%app-name% %syslogseverity-text% %msg:::drop-last-lf%\n")
            {input}
            if $app-name == "tester" then action(type="omfile" file="{place}/out" template="line")
            "#
        );
        let file = folder.join("rsyslog.conf");
        std::fs::write(&file, conf).unwrap();
        command.arg("-n").arg("-f").arg(file).arg("-i").arg(folder.join("pid"));
        Some(command)
    });
}

#[test]
fn syslog_ng_reads_what_is_sent_over_every_transport() {
    every_way(|folder, transport, port, identity| {
        let mut command = servers::syslog_ng()?;
        let (certificate, key) = (identity.certificate(), identity.key());
        let tls = format!(
            "tls(cert-file(\"{certificate}\") key-file(\"{key}\") peer-verify(optional-untrusted))"
        );
        let tls = if transport == "tls" { tls.as_str() } else { "" };
        let conf = format!(
            "@version: 3.38\noptions {{ stats-freq(0); keep-hostname(yes); }};\n\
             source s {{ network(ip(\"127.0.0.1\") port({port}) transport(\"{transport}\") {tls} flags(syslog-protocol)); }};\n\
             destination d {{ file(\"{}/out\" template(\"$PROGRAM $LEVEL $MESSAGE\\n\")); }};\n\
             log {{ source(s); destination(d); }};\n",
            folder.display()
        );
        let file = folder.join("syslog-ng.conf");
        std::fs::write(&file, conf).unwrap();
        command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(file);
        for (option, name) in [("--persist-file", "p"), ("--pidfile", "pid"), ("--control", "c")] {
            command.arg(option).arg(folder.join(name));
        }
        Some(command)
    });
}
