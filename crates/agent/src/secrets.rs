//! What must not be shown: values of properties that hold passwords and keys, and what comes from files of secrets.

/// What stands in place of a secret.
const MASK: &str = "********";

/// Parts of the names of properties and variables that hold secrets.
const WORDS: [&str; 9] = [
    "passw",
    "secret",
    "token",
    "shared_key",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "security.users",
];

/// A property's value as it may be shown: `written` is what the configuration says, `value` what it stands for.
pub(crate) fn masked(key: &str, written: &str, value: &str, is_from_file: bool) -> String {
    if is_from_file || is_secret(key) || names_a_secret(written) {
        return MASK.to_owned();
    }
    // `Authorization Bearer x`, `API_TOKEN=x`: the first word says what the rest is.
    let rest = value.find([' ', '=']).map(|at| value.split_at(at + 1));
    match rest {
        Some((word, _)) if is_secret(word) || word.to_lowercase().contains("authorization") => {
            format!("{word}{MASK}")
        }
        _ => without_password(value),
    }
}

/// Whether a name is one of those that hold secrets.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Whether a text has a variable with such a name.
fn names_a_secret(written: &str) -> bool {
    written.split("${").skip(1).any(|rest| is_secret(rest.split(['}', ':']).next().unwrap_or("")))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str, expected: &str) {
        assert_eq!(masked(key, value, value, false), expected, "{key} {value}");
    }

    #[test]
    fn secrets_are_not_shown() {
        check("http_passwd", "hush", MASK);
        check("tls.key_passwd", "hush", MASK);
        check("shared_key", "hush", MASK);
        check("security.users", "me hush", MASK);
        check("header", "Authorization Bearer hush", "Authorization ********");
        check("env", "API_TOKEN=hush", "API_TOKEN=********");
        check("proxy", "http://me:hush@host:80/x", "http://me:********@host:80/x");
        assert_eq!(masked("key", "${DB_PASSWORD:-x}", "hush", false), MASK);
        assert_eq!(masked("key", "${X}", "hush", true), MASK);
    }

    #[test]
    fn all_else_is_shown() {
        for value in ["plain", "http://host:80/x@y", "header X-Key 5", "A=b", "${A} b", ""] {
            check("key", value, value);
        }
    }
}
