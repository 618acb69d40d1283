//! The options of `cloudwatch_logs`, and what is made of them.

use flb_event::Template;
use flb_net::aws::{self, Clock, Service};
use flb_net::{dial, tls};
use flb_plugin::keys::{Bool, Choice, Int, Key, Required, Text, Word};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, Table, keys};

use super::api::{Api, Group};
use super::batches::{Name, Packer, Streams};
use crate::accessors::{path_or_name, wrong};
use crate::json::json_options;

/// How many days a group may be kept.
const DAYS: &[i64] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

keys! {
    const OWN;
    REGION: Required<Text> = Key::new("region", "Region of AWS")
        .required("no 'region' was given", "add region eu-central-1");
    LOG_GROUP_NAME: Required<Text> = Key::new("log_group_name", "Log group")
        .required("no 'log_group_name' was given", "add log_group_name my-group");
    LOG_STREAM_NAME: Option<Text> = Key::new("log_stream_name", "Log stream");
    LOG_STREAM_PREFIX: Option<Text> =
        Key::new("log_stream_prefix", "What streams begin with; the tag follows");
    LOG_GROUP_TEMPLATE: Option<Text> =
        Key::new("log_group_template", "Log group by what a record has: app-$app['name']");
    LOG_STREAM_TEMPLATE: Option<Text> =
        Key::new("log_stream_template", "Log stream by what a record has");
    LOG_KEY: Option<Text> = Key::new("log_key", "Only the value of this key is sent");
    LOG_FORMAT: Option<Text> =
        Key::new("log_format", "What events are, if they are more than text: json/emf");
    AUTO_CREATE_GROUP: Bool =
        Key::new("auto_create_group", "Make a log group that is not there").default("off");
    LOG_GROUP_CLASS: Option<Choice<Class>> =
        Key::new("log_group_class", "Class of groups that are made");
    LOG_RETENTION_DAYS: Int =
        Key::new("log_retention_days", "Days that groups are kept which are made; 0 for ever").default("0");
    PORT: Option<Int> = Key::new("port", "Port of endpoint");
    EXTRA_USER_AGENT: Option<Text> =
        Key::new("extra_user_agent", "What requests say beside the agent's name");
    METRIC_NAMESPACE: Option<Text> = Key::new("metric_namespace", "").refused(METRICS, BY_RECORD);
    METRIC_DIMENSIONS: Option<Text> = Key::new("metric_dimensions", "").refused(METRICS, BY_RECORD);
    ADD_ENTITY: Option<Bool> = Key::new("add_entity", "").inert("events come without their entity");
}

const METRICS: &str = "no metrics are made of the inputs cpu and mem";
const BY_RECORD: &str = "send records that have them in _aws already, with log_format json/emf";

pub(super) const OPTIONS: Table = Table(&[OWN, aws::KEYS, tls::FILES, tls::CLIENT, dial::KEYS]);

/// The class of a log group.
#[derive(Debug, Clone, Copy)]
enum Class {
    Standard,
    InfrequentAccess,
}

impl Word for Class {
    const ALL: &'static [(&'static str, Self)] =
        &[("STANDARD", Self::Standard), ("INFREQUENT_ACCESS", Self::InfrequentAccess)];
}

/// What makes batches.
pub(super) fn packer(options: &Options, build: &Build<'_>) -> Result<Packer, BuildError> {
    let stream = match (options.get(LOG_STREAM_NAME), options.get(LOG_STREAM_PREFIX)) {
        (Some(name), None) => Name::Fixed(name.to_owned()),
        (None, Some(prefix)) => Name::BeforeTag(prefix.to_owned()),
        _ => {
            return Err(BuildError::new("one of log_stream_name and log_stream_prefix is wanted")
                .help("add log_stream_prefix my-host-, and the tag follows it"));
        }
    };
    let template = |key: Key<Option<Text>>| {
        let text = options.get(key);
        text.map(|text| Template::parse(text).map_err(|error| wrong(key.name(), &error)))
            .transpose()
    };
    let log_key = options.get(LOG_KEY).map(|text| path_or_name(LOG_KEY.name(), text));
    Ok(Packer {
        streams: Streams {
            group: options.get(LOG_GROUP_NAME)?.to_owned(),
            stream,
            group_template: template(LOG_GROUP_TEMPLATE)?,
            stream_template: template(LOG_STREAM_TEMPLATE)?,
        },
        log_key: log_key.transpose()?,
        json: json_options(build),
    })
}

/// Who is told.
pub(super) fn api(
    label: Label,
    options: &Options,
    build: &Build<'_>,
    clock: Clock,
) -> Result<Api, BuildError> {
    let region = options.get(REGION)?;
    let port = options.get(PORT).map(u16::try_from).transpose().map_err(|_| {
        BuildError::new("port is not a port number").help("use a number from 1 to 65535")
    })?;
    let extra = options.get(EXTRA_USER_AGENT);
    let service = Service::new("logs", region, extra, port, options, build, clock)?;
    let class = options.get(LOG_GROUP_CLASS).map(|class| match class {
        Class::Standard => "STANDARD",
        Class::InfrequentAccess => "INFREQUENT_ACCESS",
    });
    let days = options.get(LOG_RETENTION_DAYS);
    if days != 0 && !DAYS.contains(&days) {
        let all: Vec<String> = DAYS.iter().map(i64::to_string).collect();
        return Err(BuildError::new(format!("log_retention_days is {days}"))
            .help(format!("CloudWatch keeps logs for one of {} days", all.join(", "))));
    }
    let group = Group { class, days: (days != 0).then_some(days) };
    Ok(Api {
        service,
        label,
        format: options.get(LOG_FORMAT).map(str::to_owned),
        new_group: options.get(AUTO_CREATE_GROUP).then_some(group),
    })
}
