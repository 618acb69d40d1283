//! Environment variables that configurations need, with values that they might have.

use std::collections::BTreeMap;

/// Values by how a variable's name ends; the first that fits counts.
const LIKELY: &[(&[&str], &str)] = &[
    (&["PORT"], "2020"),
    (&["HOST", "HOSTNAME", "SERVER", "ENDPOINT", "ADDRESS", "IP", "LISTEN"], "127.0.0.1"),
    (&["URL", "URI"], "http://127.0.0.1:2020/"),
    (&["LEVEL"], "info"),
    (&["REGION"], "eu-central-1"),
    (&["LIMIT", "SIZE"], "5M"),
    (&["INTERVAL", "FLUSH", "GRACE", "TIMEOUT", "PERIOD", "COUNT", "SEC", "WORKERS"], "5"),
    (&["TLS", "ENABLED", "VERIFY", "HEAD", "TAIL", "SSL"], "on"),
    (&["MATCH", "TAG"], "*"),
    (&["PATH", "DIR", "FOLDER"], "."),
];

/// The variables that these texts name and give no default, each with a value.
pub(super) fn variables<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let named = texts.flat_map(|text| text.split("${").skip(1));
    let named = named.filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    let is_name = |name: &&str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty()
    };
    named.filter(is_name).map(|name| (name.to_owned(), likely(name))).collect()
}

fn likely(name: &str) -> String {
    let upper = name.to_uppercase();
    let fits = |(ends, _): &&(&[&str], _)| ends.iter().any(|end| upper.ends_with(end));
    LIKELY.iter().find(fits).map_or_else(|| name.to_lowercase(), |(_, value)| (*value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_value_that_its_name_suggests() {
        let text = "Port ${HTTP_PORT}\nHost ${ES_HOST}:${ES_PORT:-9200}\nuser ${User} ${a b} ${";
        let found = variables([text].into_iter());
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["ES_HOST=127.0.0.1", "HTTP_PORT=2020", "User=user"]);
    }
}
