//! `aws`: adds to records what the EC2 instance that the agent runs on knows of itself.

use std::sync::Arc;
use std::time::Duration;

use flb_event::json;
use flb_event::{Accessor, Chunk, Timestamp};
use flb_net::background::{Background, Board};
use flb_net::imds::{Imds, ImdsError, ImdsVersion};
use flb_plugin::keys::{Bool, Choice, Key, List, Natural};
use flb_plugin::log::{Kinds, Label};
use flb_plugin::{
    Build, BuildError, Counter, Filter, Metric, Metrics, Options, Outlet, Spec, Table, keys,
};

use super::each::{Decision, each};
use super::entries::Entries;

keys! {
    const KEYS;
    IMDS_VERSION: Choice<ImdsVersion> =
        Key::new("imds_version", "Version of the metadata service").default("v2");
    AZ: Bool = Key::new("az", "Add the availability zone").default("on");
    EC2_INSTANCE_ID: Bool = Key::new("ec2_instance_id", "Add the instance's ID").default("on");
    EC2_INSTANCE_TYPE: Bool =
        Key::new("ec2_instance_type", "Add the instance's type").default("off");
    PRIVATE_IP: Bool = Key::new("private_ip", "Add its private address").default("off");
    VPC_ID: Bool = Key::new("vpc_id", "Add the ID of its VPC").default("off");
    AMI_ID: Bool = Key::new("ami_id", "Add the ID of its image").default("off");
    ACCOUNT_ID: Bool = Key::new("account_id", "Add its account's ID").default("off");
    HOSTNAME: Bool = Key::new("hostname", "Add its host name").default("off");
    TAGS_ENABLED: Bool = Key::new("tags_enabled", "Add its tags").default("off");
    TAGS_INCLUDE: Option<List> = Key::new("tags_include", "Only these tags");
    TAGS_EXCLUDE: Option<List> = Key::new("tags_exclude", "All tags but these");
    RETRY_INTERVAL_S: Natural =
        Key::new("retry_interval_s", "Seconds until what is not known is asked for again")
            .default("300");
    ENABLE_ENTITY: Bool =
        Key::new("enable_entity", "Add instance and account as CloudWatch's entities name them")
            .default("off");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "aws",
    about: "Add what an EC2 instance knows of itself",
    options: Table(&[KEYS]),
    build,
};

/// Exported as `flb_filter_bare_records_total`.
static BARE: Metric =
    Metric::new("bare_records", "Records that passed before all was known of the instance.")
        .worded("without metadata");

/// Exported as `flb_filter_failed_requests_total`.
static FAILED: Metric =
    Metric::new("failed_requests", "Requests that failed, by reason.").by("reason");

/// How long records wait for what is asked for first.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most tags that an instance has, and some.
const MOST_TAGS: usize = 64;

const MAC: &str = "/latest/meta-data/mac";
const TAGS: &str = "/latest/meta-data/tags/instance";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";

/// Something that an instance knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    /// The text at a path.
    Text(&'static str),
    /// A text at a path below the first network interface's.
    OfInterface(&'static str),
    /// A member of the instance's identity.
    OfDocument(&'static str),
}

const INSTANCE: Fact = Fact::Text("/latest/meta-data/instance-id");
const ACCOUNT: Fact = Fact::OfDocument("accountId");

/// The keys of records, in their order, with what asks for each and where it comes from.
const FACTS: &[(Key<Bool>, &str, Fact)] = &[
    (AZ, "az", Fact::Text("/latest/meta-data/placement/availability-zone")),
    (EC2_INSTANCE_ID, "ec2_instance_id", INSTANCE),
    (EC2_INSTANCE_TYPE, "ec2_instance_type", Fact::Text("/latest/meta-data/instance-type")),
    (PRIVATE_IP, "private_ip", Fact::Text("/latest/meta-data/local-ipv4")),
    (VPC_ID, "vpc_id", Fact::OfInterface("vpc-id")),
    (AMI_ID, "ami_id", Fact::Text("/latest/meta-data/ami-id")),
    (ACCOUNT_ID, "account_id", ACCOUNT),
    (HOSTNAME, "hostname", Fact::Text("/latest/meta-data/hostname")),
];

/// The same for entities, which have both or neither.
const ENTITY: [(&str, Fact); 2] =
    [("aws_entity_ec2_instance_id", INSTANCE), ("aws_entity_account_id", ACCOUNT)];

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let label = Label::filter(SPEC.name, build);
    let imds = Imds::new(options.get(IMDS_VERSION), &build.service.variables)?;
    let wanted = FACTS.iter().filter(|(key, ..)| options.get(*key));
    let wanted = wanted.map(|(_, name, fact)| (*name, *fact)).collect();
    let entity = if options.get(ENABLE_ENTITY) { ENTITY.to_vec() } else { Vec::new() };
    let question = Question { wanted, entity, tags: Tags::of(options)? };
    let interval = u32::try_from(options.get(RETRY_INTERVAL_S)).unwrap_or(u32::MAX);
    let asking =
        Asking { imds, question, label, metrics: build.metrics.clone(), kinds: Kinds::default() };
    let background = Background::start(SPEC.name)
        .map_err(|error| BuildError::new(format!("cannot start a thread: {error}")))?;
    let instance =
        Instance { asking: Arc::new(asking), background, interval, told: Arc::default() };
    if !build.service.dry_run {
        instance.ask(&mut instance.told.look(), Timestamp::default());
    }
    Ok(Box::new(Aws { instance: Arc::new(instance), bare: build.metrics.counter(&BARE) }))
}

/// Which tags are added.
enum Tags {
    None,
    All,
    Only(Vec<String>),
    But(Vec<String>),
}

impl Tags {
    fn of(options: &Options) -> Result<Self, BuildError> {
        match (options.get(TAGS_INCLUDE), options.get(TAGS_EXCLUDE)) {
            (Some(_), Some(_)) => {
                Err(BuildError::new("tags_include and tags_exclude exclude each other")
                    .help("take one of them out"))
            }
            _ if !options.get(TAGS_ENABLED) => Ok(Self::None),
            (Some(only), None) => Ok(Self::Only(only)),
            (None, Some(but)) => Ok(Self::But(but)),
            (None, None) => Ok(Self::All),
        }
    }

    /// Whether a tag is added. One whose name may stand in no path is none: the service has no such.
    fn has(&self, name: &str) -> bool {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-=.,_:@".contains(&byte);
        let is_name = !name.is_empty() && name != "." && name != ".." && name.bytes().all(is_part);
        let is = |other: &String| other == name;
        is_name
            && match self {
                Self::None => false,
                Self::All => true,
                Self::Only(only) => only.iter().any(is),
                Self::But(but) => !but.iter().any(is),
            }
    }
}

/// What is asked for.
struct Question {
    wanted: Vec<(&'static str, Fact)>,
    entity: Vec<(&'static str, Fact)>,
    tags: Tags,
}

/// The filter.
struct Aws {
    instance: Arc<Instance>,
    bare: Counter,
}

impl Filter for Aws {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let (entries, is_whole) = self.instance.entries(outlet.now());
        if !is_whole {
            self.bare.add(batch.len() as u64);
        }
        if entries.count == 0 {
            return outlet.keep(batch);
        }
        each(batch, outlet, |event, body| {
            body.extend_from_slice(event.body);
            entries.append_to(body);
            Decision::Replace
        });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self { instance: Arc::clone(&self.instance), bare: self.bare.clone() }))
    }
}

/// The instance, as far as it is known.
struct Instance {
    asking: Arc<Asking>,
    background: Background,
    /// Seconds until what is not known is asked for again.
    interval: u32,
    told: Arc<Board<Told>>,
}

/// What the instance has told.
#[derive(Default)]
struct Told {
    facts: Vec<(Fact, Option<String>)>,
    tags: Option<Vec<(String, String)>>,
    entries: Arc<Entries>,
    is_whole: bool,
    /// Whether somebody asks.
    is_asked: bool,
    /// Whether records have waited, which they do once.
    has_kept_waiting: bool,
    /// The second from which it may be asked again.
    next: u32,
}

impl Instance {
    /// What records get, and whether that is all.
    fn entries(&self, now: Timestamp) -> (Arc<Entries>, bool) {
        let mut told = self.told.look();
        if !told.is_whole && !told.is_asked && now.sec >= told.next {
            self.ask(&mut told, now);
        }
        if told.is_asked && !told.has_kept_waiting {
            told.has_kept_waiting = true;
            told = self.told.wait_while(told, PATIENCE, |told| told.is_asked);
        }
        (Arc::clone(&told.entries), told.is_whole)
    }

    fn ask(&self, told: &mut Told, now: Timestamp) {
        told.is_asked = true;
        told.next = now.sec.saturating_add(self.interval);
        let (asking, board) = (Arc::clone(&self.asking), Arc::clone(&self.told));
        let (mut facts, mut tags) = (told.facts.clone(), told.tags.clone());
        self.background.spawn(async move {
            let asked = asking.ask(&mut facts, &mut tags).await;
            if let Err(error) = &asked {
                asking.complain(error);
            }
            board.change(|told| {
                told.entries = Arc::new(asking.question.entries(&facts, tags.as_deref()));
                (told.facts, told.tags) = (facts, tags);
                (told.is_asked, told.is_whole) = (false, asked.is_ok());
            });
        });
    }
}

/// Asks the metadata service.
struct Asking {
    imds: Imds,
    question: Question,
    label: Label,
    metrics: Metrics,
    kinds: Kinds,
}

impl Asking {
    /// Asks for what is not known yet, up to the first failure.
    async fn ask(
        &self,
        facts: &mut Vec<(Fact, Option<String>)>,
        tags: &mut Option<Vec<(String, String)>>,
    ) -> Result<(), ImdsError> {
        let Question { wanted, entity, .. } = &self.question;
        for (_, fact) in wanted.iter().chain(entity) {
            if !facts.iter().any(|(known, _)| known == fact) {
                facts.push((*fact, self.fact(*fact).await?));
            }
        }
        if tags.is_none() && !matches!(self.question.tags, Tags::None) {
            *tags = Some(self.tags().await?);
        }
        Ok(())
    }

    async fn fact(&self, fact: Fact) -> Result<Option<String>, ImdsError> {
        match fact {
            Fact::Text(path) => self.imds.text(path).await,
            Fact::OfInterface(name) => {
                let Some(mac) = self.imds.text(MAC).await? else { return Ok(None) };
                let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
                if !mac.bytes().all(is_part) {
                    return Ok(None);
                }
                let path = format!("/latest/meta-data/network/interfaces/macs/{mac}/{name}");
                self.imds.text(&path).await
            }
            Fact::OfDocument(name) => {
                let document = self.imds.text(DOCUMENT).await?;
                Ok(document.and_then(|document| member(&document, name)))
            }
        }
    }

    /// All tags that are wanted. Where the instance has none, or does not tell them, there are none.
    async fn tags(&self) -> Result<Vec<(String, String)>, ImdsError> {
        let names = self.imds.text(TAGS).await?.unwrap_or_default();
        let mut tags = Vec::new();
        for name in names.lines().filter(|name| self.question.tags.has(name)).take(MOST_TAGS) {
            if let Some(value) = self.imds.text(&format!("{TAGS}/{name}")).await? {
                tags.push((name.to_owned(), value));
            }
        }
        Ok(tags)
    }

    fn complain(&self, error: &ImdsError) {
        self.metrics.counter_of(&FAILED, error.word()).add(1);
        if let Some(times) = self.kinds.another(error.word()) {
            let label = &self.label;
            tracing::warn!(
                "{label} the metadata service: {error}; help: outside of EC2 there is none; in a container the instance's hop \
                 limit must be 2{times}"
            );
        }
    }
}

/// A text of a JSON object.
fn member(document: &str, name: &str) -> Option<String> {
    let mut object = Vec::new();
    json::parse_object(document.as_bytes(), &mut object).ok()?;
    let text = Accessor::of_key(name).find_str(&object)?;
    String::from_utf8(text.to_vec()).ok()
}

impl Question {
    fn entries(
        &self,
        facts: &[(Fact, Option<String>)],
        tags: Option<&[(String, String)]>,
    ) -> Entries {
        let known = |fact: &Fact| {
            let found = facts.iter().find(|(known, _)| known == fact);
            found.and_then(|(_, text)| Some(text.as_ref()?.as_bytes()))
        };
        let mut entries = Entries::default();
        for (name, fact) in &self.wanted {
            entries.add_text(name, known(fact));
        }
        for (name, value) in tags.unwrap_or_default() {
            entries.add_text(name, Some(value.as_bytes()));
        }
        if self.entity.iter().all(|(_, fact)| known(fact).is_some()) {
            for (name, fact) in &self.entity {
                entries.add_text(name, known(fact));
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use flb_harness::{NOW, bodies, build_in, chunk, options};
    use flb_plugin::Service;
    use flb_testkit::imds::Instance as World;
    use flb_testkit::stub::{Fault, Reply};

    const FACTS_OF_ALL: &[(&str, &str)] = &[
        ("/latest/meta-data/placement/availability-zone", "eu-central-1a"),
        ("/latest/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/latest/meta-data/instance-type", "m7g.large"),
        ("/latest/meta-data/local-ipv4", "10.0.0.7"),
        ("/latest/meta-data/mac", "02:00:00:00:00:01"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/vpc-id", "vpc-1"),
        ("/latest/meta-data/ami-id", "ami-1"),
        (
            "/latest/dynamic/instance-identity/document",
            r#"{"region":"eu-central-1","accountId":"123456789012"}"#,
        ),
        ("/latest/meta-data/hostname", "ip-10-0-0-7.internal"),
        ("/latest/meta-data/tags/instance", "Name\nteam\nno such tag\nenv"),
        ("/latest/meta-data/tags/instance/Name", "web 1"),
        ("/latest/meta-data/tags/instance/team", "pay"),
        ("/latest/meta-data/tags/instance/env", "prod"),
    ];

    const ALL_ON: &[(&str, &str)] = &[
        ("ec2_instance_type", "on"),
        ("private_ip", "on"),
        ("vpc_id", "on"),
        ("ami_id", "on"),
        ("account_id", "on"),
        ("hostname", "on"),
        ("tags_enabled", "on"),
        ("enable_entity", "on"),
    ];

    /// A filter that asks at a port.
    fn filter(port: u16, given: &[(&str, &str)]) -> Result<Box<dyn Filter>, BuildError> {
        let mut service = Service::default();
        service
            .variables
            .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://127.0.0.1:{port}"));
        build_in(&service, &options(SPEC.options, given), build)
    }

    fn given(filter: &mut dyn Filter, later: u32) -> String {
        let mut outlet = Outlet::new(Timestamp { sec: NOW.sec + later, nsec: 0 });
        filter.filter(chunk("t", &[(1, 0, r#"{"log":"x"}"#)]), &mut outlet);
        assert_eq!(outlet.tally().records(), 1);
        bodies(outlet.passed()).join("\n")
    }

    /// What a record gets.
    fn check(world: &World, given_options: &[(&str, &str)], expected: &str) {
        let server = world.serve();
        let found = given(&mut *filter(server.port(), given_options).unwrap(), 0);
        assert_eq!(found, format!(r#"{{"log":"x"{expected}}}"#));
    }

    const DEFAULT: &str = r#","az":"eu-central-1a","ec2_instance_id":"i-0123456789abcdef0""#;

    #[test]
    fn a_record_gets_what_the_instance_knows_of_itself() {
        for needs_token in [true, false] {
            let world = World::new(needs_token, FACTS_OF_ALL);
            check(&world, &[], DEFAULT);
            let rest = r#","ec2_instance_type":"m7g.large","private_ip":"10.0.0.7","vpc_id":"vpc-1","ami_id":"ami-1","account_id":"123456789012","hostname":"ip-10-0-0-7.internal","Name":"web 1","team":"pay","env":"prod","aws_entity_ec2_instance_id":"i-0123456789abcdef0","aws_entity_account_id":"123456789012""#;
            check(&world, ALL_ON, &format!("{DEFAULT}{rest}"));
        }
        let world = World::new(false, FACTS_OF_ALL);
        check(
            &world,
            &[("imds_version", "v1"), ("az", "off")],
            r#","ec2_instance_id":"i-0123456789abcdef0""#,
        );
    }

    #[test]
    fn some_tags_may_be_enough() {
        let world = World::new(true, FACTS_OF_ALL);
        let with = |more: &[(&'static str, &'static str)]| {
            [&[("az", "off"), ("ec2_instance_id", "off"), ("tags_enabled", "on")], more].concat()
        };
        check(&world, &with(&[("tags_include", "team,other")]), r#","team":"pay""#);
        check(&world, &with(&[("tags_exclude", "team,other")]), r#","Name":"web 1","env":"prod""#);
        let none = World::new(true, &FACTS_OF_ALL[..9]);
        check(&none, &with(&[]), "");
        let error =
            filter(1, &with(&[("tags_include", "a"), ("tags_exclude", "b")])).err().unwrap();
        assert_eq!(error.message, "tags_include and tags_exclude exclude each other");
    }

    #[test]
    fn without_a_service_records_pass_and_it_is_asked_again() {
        let mut server = World::new(true, FACTS_OF_ALL).serve();
        server.leave();
        let mut filter = filter(server.port(), &[("retry_interval_s", "60")]).unwrap();
        let start = Instant::now();
        for second in 0..60 {
            assert_eq!(given(&mut *filter, second), r#"{"log":"x"}"#);
        }
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
        server.come_back();
        until_known(&mut *filter);
    }

    fn until_known(filter: &mut dyn Filter) {
        let start = Instant::now();
        let mut later = 60;
        while given(filter, later) != format!(r#"{{"log":"x"{DEFAULT}}}"#) {
            assert!(start.elapsed() < Duration::from_secs(30), "it never comes");
            later += 60;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_service_that_goes_wrong_is_asked_again() {
        let instead = |status| Fault::Instead(Reply::new(status, "oops"));
        for fault in
            [instead(500), instead(403), instead(401), Fault::Garbage, Fault::Half, instead(302)]
        {
            let server = World::new(true, FACTS_OF_ALL).serve();
            server.fail(Some(fault));
            let mut filter = filter(server.port(), &[("retry_interval_s", "60")]).unwrap();
            assert_eq!(given(&mut *filter, 0), r#"{"log":"x"}"#);
            server.fail(None);
            until_known(&mut *filter);
        }
    }

    #[test]
    fn a_token_that_has_run_out_is_made_anew() {
        let world = World::new(true, FACTS_OF_ALL);
        let server = world.serve();
        let mut variables = flb_config::Variables::default();
        variables.set(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            format!("http://127.0.0.1:{}/", server.port()),
        );
        let imds = Imds::new(ImdsVersion::Two, &variables).unwrap();
        flb_harness::net::block_on(async {
            for _ in 0..2 {
                assert_eq!(
                    imds.text("/latest/meta-data/ami-id").await.unwrap().as_deref(),
                    Some("ami-1")
                );
                world.forget_token();
            }
            assert_eq!(imds.text("/none").await.unwrap(), None);
        });
        let tokens = server.asked().iter().filter(|asked| asked.starts_with("PUT")).count();
        assert_eq!(tokens, 3);
    }
}
