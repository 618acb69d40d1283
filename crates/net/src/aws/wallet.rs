//! The credentials that are held: asked for when they are needed first, and anew before they end.

use flb_config::Variables;
use flb_plugin::BuildError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::clock::Clock;
use super::credentials::{Credentials, CredentialsError};
use super::endpoint::Endpoint;
use super::identity::Identity;
use super::sources::Source;
use super::sts::Sts;

/// How long before their end credentials are asked for anew.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// How long after a failure nobody is asked again, as long as there are credentials that have not ended.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// The credentials of an output.
pub struct Wallet {
    sources: Vec<Source>,
    role: Option<Role>,
    clock: Clock,
    /// What the sources gave, and what the role gave for it.
    held: Mutex<[Held; 2]>,
}

/// A role that is assumed by who has other credentials.
struct Role {
    sts: Sts,
    arn: String,
    external_id: Option<String>,
}

#[derive(Default)]
struct Held {
    credentials: Option<Credentials>,
    /// When asking failed last.
    failed: Option<Timestamp>,
    /// Whether a service says that they are good no longer.
    is_stale: bool,
}

impl Held {
    /// What is held, unless it is time to ask for others.
    fn fresh(&self, now: Timestamp) -> Option<Credentials> {
        let credentials = self.credentials.as_ref()?;
        let ends_soon = credentials.until.is_some_and(|until| now >= until - EARLY);
        let just_failed = self.failed.is_some_and(|at| (at..at + PAUSE).contains(&now));
        let serves = !ends_soon || just_failed && self.is_good(now);
        (serves && !self.is_stale).then(|| credentials.clone())
    }

    /// Whether what is held has not ended.
    fn is_good(&self, now: Timestamp) -> bool {
        let credentials = self.credentials.as_ref();
        credentials.is_some_and(|held| held.until.is_none_or(|until| now < until))
    }

    /// Takes what was given in place of what is held, which stays if that is nothing.
    fn take(
        &mut self,
        given: Result<Credentials, CredentialsError>,
        now: Timestamp,
    ) -> Result<Credentials, CredentialsError> {
        match given {
            Ok(credentials) => {
                *self = Self { credentials: Some(credentials.clone()), ..Self::default() };
                Ok(credentials)
            }
            Err(error) if self.is_good(now) && !self.is_stale => {
                self.failed = Some(now);
                tracing::warn!("[aws] {error}; what there is serves until it ends");
                self.credentials.clone().ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Wallet {
    /// The wallet of who asks.
    pub fn new(
        identity: &Identity<'_>,
        variables: &Variables,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let sts = match identity.sts_endpoint {
            Some(text) => Endpoint::given("sts_endpoint", text, true)?,
            None => Endpoint::of("sts", identity.region),
        };
        let sources = Source::all(identity, &sts, variables, &clock)?;
        let role = identity.role_arn.map(|arn| {
            let sts = Sts::new(&sts, identity.region, None, variables, clock.clone())?;
            let external_id = identity.external_id.map(str::to_owned);
            Ok::<_, BuildError>(Role { sts, arn: arn.to_owned(), external_id })
        });
        Ok(Self { sources, role: role.transpose()?, clock, held: Mutex::default() })
    }

    /// Credentials that are good now.
    pub async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut held = self.held.lock().await;
        let [own, lent] = &mut *held;
        let now = self.clock.now();
        let Some(role) = &self.role else { return self.own(own, now).await };
        if let Some(credentials) = lent.fresh(now) {
            return Ok(credentials);
        }
        let own = self.own(own, now).await?;
        let given = role.sts.assume("role_arn", &role.arn, role.external_id.as_deref(), &own);
        lent.take(given.await, now)
    }

    /// What is held is good no longer: a service says so.
    pub async fn renew(&self) {
        self.held.lock().await.iter_mut().for_each(|held| held.is_stale = true);
    }

    async fn own(&self, held: &mut Held, now: Timestamp) -> Result<Credentials, CredentialsError> {
        match held.fresh(now) {
            Some(credentials) => Ok(credentials),
            None => held.take(self.ask().await, now),
        }
    }

    /// Asks the first source that has any. Where one should have them and fails, no other stands in for it: who asks would be
    /// somebody else.
    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        for source in &self.sources {
            if let Some(credentials) = source.credentials().await? {
                return Ok(credentials);
            }
        }
        Err(CredentialsError::Nowhere)
    }
}
