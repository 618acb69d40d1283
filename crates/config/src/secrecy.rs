//! What must not be shown: passwords and keys, whoever asks for the configuration or for what is wrong with it. What may hold a
//! secret is hidden unless it is known to be harmless.

use std::ops::Range;

use crate::document::SectionKind;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// What a property's value may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Secrecy {
    /// Nothing to hide, but for a password in a URL and what a name before it says.
    #[default]
    Open,
    /// A secret and nothing else.
    Secret,
    /// `NAME value` or `NAME=value`: the name may be shown, the value if the name is known to be harmless.
    Named,
    /// The path or address of a server: what is asked for behind `?` is hidden.
    Address,
    /// A command line: programs, plain options, paths and numbers may be shown.
    Command,
}

/// Parts of the names of what is secret.
const SECRET: [&str; 21] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "shared_key",
    "sharedkey",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "account_key",
    "private_key",
    "signing_key",
    "encryption_key",
    "license_key",
    "credential",
    "authorization",
    "cookie",
    "security.users",
    "bearer",
];

/// Variables, headers and settings that hold no secrets, with `_` for `-`.
const HARMLESS: [&str; 48] = [
    "accept",
    "accept_charset",
    "accept_encoding",
    "accept_language",
    "cache_control",
    "connection",
    "content_encoding",
    "content_language",
    "content_type",
    "debug",
    "env",
    "environment",
    "field",
    "fields",
    "format",
    "home",
    "host",
    "hostname",
    "interval",
    "lang",
    "language",
    "lc_all",
    "lc_ctype",
    "level",
    "limit",
    "locale",
    "log_level",
    "max",
    "max_length",
    "min",
    "mode",
    "path",
    "prefix",
    "pwd",
    "region",
    "rust_backtrace",
    "rust_log",
    "separator",
    "service",
    "size",
    "stage",
    "suffix",
    "term",
    "threshold",
    "timeout",
    "tz",
    "user_agent",
    "x_scope_orgid",
];

/// Whether a name says that what it names is secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    // The current folder, as every shell calls it.
    name != "pwd" && SECRET.iter().any(|word| name.contains(word))
}

/// Whether a text is a variable and nothing else. Its name is no secret, and who looks for a mistake wants to see it.
pub fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}', ':']))
}

/// Whether a variable, or a key that nobody has described, may stand for a secret.
fn is_doubtful_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    is_secret_name(name) || lower.ends_with("key") || lower.ends_with("auth")
}

/// Whether a variable, header or setting of this name is known to hold no secret.
fn is_harmless(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    HARMLESS.contains(&name.as_str())
}

impl Secrecy {
    /// What the value of a key may hold that nobody has described. In a plugin's section it may be another plugin's, or
    /// misspelt, so less of it is known to be harmless.
    pub fn of_unknown(key: &str, kind: SectionKind) -> Self {
        let is_plugin = matches!(kind, SectionKind::Plugin(_));
        match is_secret_name(key) || (is_plugin && is_doubtful_name(key)) {
            true => Self::Secret,
            false => Self::Open,
        }
    }
}

/// A property's value as it may be shown: `written` is what the configuration says, `value` what it stands for.
pub fn masked(
    key: &str,
    secrecy: Secrecy,
    written: &str,
    value: &str,
    is_from_file: bool,
) -> String {
    if secrecy == Secrecy::Secret || is_from_file || names_a_secret(written) {
        return MASK.to_owned();
    }
    match secrecy {
        Secrecy::Named => match (key.split_once('.'), split_name(value)) {
            // config.key value
            (Some((_, name)), _) => masked_setting("", name, value),
            (None, Some((name, rest))) => masked_setting(name, name_alone(name), rest),
            (None, None) => MASK.to_owned(),
        },
        Secrecy::Address => without_query(&without_password(value)),
        Secrecy::Command => plain_words(value),
        Secrecy::Secret | Secrecy::Open => {
            // `Authorization Bearer x`, `API_TOKEN=x`, `{"password":"x"}`: a word says what the rest is.
            match secret_within(value) {
                Some(secret) => format!("{}{MASK}", &value[..secret.start]),
                None => without_password(value),
            }
        }
    }
}

fn masked_setting(before: &str, name: &str, value: &str) -> String {
    let is_switch = ["on", "off", "true", "false", "yes", "no"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value));
    match is_harmless(name) || is_switch || value.is_empty() {
        true => format!("{before}{value}"),
        false => format!("{before}{MASK}"),
    }
}

/// The first word of a text with the blank or `=` behind it, and the rest.
fn split_name(text: &str) -> Option<(&str, &str)> {
    text.find([' ', '\t', '=']).map(|at| text.split_at(at + 1))
}

fn name_alone(name: &str) -> &str {
    name.trim_end_matches([' ', '\t', '=', ':'])
}

/// Whether a text has a variable with a secret's name.
fn names_a_secret(written: &str) -> bool {
    let name = |rest: &str| is_doubtful_name(rest.split(['}', ':']).next().unwrap_or_default());
    written.split("${").skip(1).any(name)
}

/// `http://user:password@host` without its password.
fn without_password(value: &str) -> String {
    let hidden = || {
        let start = value.find("://")? + 3;
        let end = start + value[start..].find(['/', ' ', ',']).unwrap_or(value.len() - start);
        let at = start + value[start..end].rfind('@')?;
        let colon = start + value[start..at].find(':')?;
        Some(format!("{}:{MASK}{}", &value[..colon], &value[at..]))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

fn without_query(value: &str) -> String {
    match value.split_once('?') {
        Some((path, _)) => format!("{path}?{MASK}"),
        None => value.to_owned(),
    }
}

/// A command line with all words hidden that may be secret, and not each of them counted.
fn plain_words(command: &str) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for (at, word) in command.split_whitespace().enumerate() {
        let word = if is_plain(word, at == 0) { word } else { MASK };
        if word != MASK || shown.last() != Some(&MASK) {
            shown.push(word);
        }
    }
    shown.join(" ")
}

/// Whether a word of a command is a program, an option without its value, a path, a number or what joins commands.
fn is_plain(word: &str, is_first: bool) -> bool {
    let all = |fits: fn(char) -> bool| !word.is_empty() && word.chars().all(fits);
    let is_path = word.starts_with(['/', '.', '*'])
        && all(|c| c.is_ascii_alphanumeric() || "/._-*".contains(c));
    let is_option = match word.strip_prefix("--") {
        Some(long) => long.len() <= 24 && long.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
        None => word.strip_prefix('-').is_some_and(|short| {
            short.len() <= 2 && short.chars().all(|c| c.is_ascii_alphabetic())
        }),
    };
    let is_number = all(|c| c.is_ascii_digit()) && word.len() <= 4;
    let is_joint = all(|c| "|&;<>".contains(c));
    let is_program = is_first && all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    is_path || is_option || is_number || is_joint || is_program
}

/// Where a line of a configuration holds a secret, as far as its words say so: for lines that could not be read.
pub(crate) fn secret_of_line(line: &str) -> Option<Range<usize>> {
    let first = words(line).find(|word| &line[word.clone()] != "-")?;
    let may_hold = ["header", "env", "command"];
    if may_hold.iter().any(|known| line[first.clone()].eq_ignore_ascii_case(known)) {
        return rest(line, first.end);
    }
    secret_within(line)
}

/// What stands behind the first word that speaks of a secret.
fn secret_within(text: &str) -> Option<Range<usize>> {
    let ends_a_key = |at: usize| text[at..].starts_with([' ', '\t', '=', ':', '"', '\'']);
    let key =
        words(text).find(|word| ends_a_key(word.end) && is_secret_name(&text[word.clone()]))?;
    rest(text, key.end)
}

/// The places of what may be keys.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-@".contains(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(is_word)?;
        at = start + text[start..].find(|c| !is_word(c)).unwrap_or(text.len() - start);
        Some(start..at)
    })
}

/// What stands behind a key, without what separates them.
fn rest(line: &str, end: usize) -> Option<Range<usize>> {
    let skipped = line[end..].find(|c: char| !" \t=:\"'".contains(c))?;
    (!is_variable(&line[end + skipped..])).then_some(end + skipped..line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, secrecy: Secrecy, value: &str, expected: &str) {
        assert_eq!(masked(key, secrecy, value, value, false), expected, "{key} {value}");
    }

    #[test]
    fn secrets_are_not_shown() {
        check("password", Secrecy::Secret, "hush", MASK);
        for key in ["http_passwd", "shared_key", "security.users", "encryption_key", "apikey"] {
            assert_eq!(Secrecy::of_unknown(key, SectionKind::Node), Secrecy::Secret, "{key}");
        }
        for (key, secrecy) in
            [("key", Secrecy::Secret), ("cloud_auth", Secrecy::Secret), ("bucket", Secrecy::Open)]
        {
            assert_eq!(Secrecy::of_unknown(key, SectionKind::OUTPUT), secrecy, "{key}");
        }
        for key in ["time_key", "key_content", "name"] {
            assert_eq!(Secrecy::of_unknown(key, SectionKind::Parser), Secrecy::Open, "{key}");
        }
        assert_eq!(masked("key", Secrecy::Open, "${DB_PASSWORD:-x}", "hush", false), MASK);
        assert_eq!(masked("key", Secrecy::Open, "a${ENCRYPTION_KEY}", "hush", false), MASK);
        assert_eq!(masked("key", Secrecy::Open, "${X}", "hush", true), MASK);
        check("record", Secrecy::Open, "api_key hush", "api_key ********");
        check(
            "dummy",
            Secrecy::Open,
            r#"{"a":1,"password":"hush"}"#,
            r#"{"a":1,"password":"********"#,
        );
        check("any", Secrecy::Open, "http://me:hush@host:80/x", "http://me:********@host:80/x");
    }

    #[test]
    fn of_headers_variables_and_settings_what_is_known_to_be_harmless_is_shown() {
        for (text, expected) in [
            ("Authorization Bearer hush", "Authorization ********"),
            ("X-API-Key hush", "X-API-Key ********"),
            ("DD-API-KEY hush", "DD-API-KEY ********"),
            ("Cookie a=hush", "Cookie ********"),
            ("X-Anything hush", "X-Anything ********"),
            ("DB_PASS=hush", "DB_PASS=********"),
            ("ENCRYPTION_KEY=hush", "ENCRYPTION_KEY=********"),
            ("hush", MASK),
            ("Content-Type text/plain", "Content-Type text/plain"),
            ("User-Agent x", "User-Agent x"),
            ("RUST_LOG=debug", "RUST_LOG=debug"),
            ("FEATURE=on", "FEATURE=on"),
        ] {
            check("header", Secrecy::Named, text, expected);
        }
        check("config.signing_key", Secrecy::Named, "hush", MASK);
        check("config.level", Secrecy::Named, "warn", "warn");
        check("config.strict", Secrecy::Named, "true", "true");
    }

    #[test]
    fn of_commands_and_addresses_the_plain_parts_are_shown() {
        for (text, expected) in [
            ("curl -s -u me:hush http://x/", "curl -s -u ********"),
            ("curl -H 'X: hush' -o /tmp/x", "curl -H ******** -o /tmp/x"),
            ("mysql -phush -e x", "mysql ******** -e ********"),
            ("TOKEN=hush prog", "********"),
            ("prog --password=hush", "prog ********"),
            ("tail -n 5 /var/log/x | wc -l", "tail -n 5 /var/log/x | ******** -l"),
            ("/bin/df -h", "/bin/df -h"),
        ] {
            check("command", Secrecy::Command, text, expected);
        }
        check("uri", Secrecy::Address, "/in?key=hush", "/in?********");
        check("proxy", Secrecy::Address, "http://me:hush@h:1", "http://me:********@h:1");
        check("uri", Secrecy::Address, "/v1/logs", "/v1/logs");
    }

    #[test]
    fn all_else_is_shown() {
        for value in ["plain", "http://host:80/x@y", "A=b", "${A} b", ""] {
            check("path", Secrecy::Open, value, value);
        }
        check("tag_key", Secrecy::Open, "k", "k");
    }

    #[test]
    fn lines_with_secrets_are_known_by_their_first_word() {
        for (line, hidden) in [
            ("    Shared_Key hush", "hush"),
            ("Shared_Key\thush", "hush"),
            ("  - http_passwd: 'hush' # x", "hush' # x"),
            ("@SET DB_PASSWORD=hush", "hush"),
            ("  \"token\": \"hush\"", "hush\""),
            ("- {name: http, http_passwd: hush, x", "hush, x"),
            ("File /var/secrets/x", ""),
            ("Shared_Key ${KEY}", ""),
            ("Shared_Key ${KEY:-hush}", "${KEY:-hush}"),
            ("Header X-Key hush", "X-Key hush"),
            ("Path /x", ""),
            ("password:", ""),
            ("", ""),
        ] {
            let found = secret_of_line(line).map_or("", |range| &line[range]);
            assert_eq!(found, hidden, "{line}");
        }
    }
}
