//! The places where credentials come from, in the order in which they are asked.

use std::path::PathBuf;

use flb_config::Variables;
use flb_plugin::BuildError;

use super::clock::Clock;
use super::container::Container;
use super::credentials::{Credentials, CredentialsError, is_shown};
use super::endpoint::Endpoint;
use super::identity::Identity;
use super::instance;
use super::profiles::{Profile, text_of};
use super::sts::Sts;
use crate::imds::{Imds, ImdsVersion};

/// A place.
pub(super) enum Source {
    /// The environment, which does not change.
    Environment(Credentials),
    /// Files of profiles.
    Profile(Profile),
    /// A token of the cluster that a pod runs in.
    WebIdentity(WebIdentity),
    /// What a container is given.
    Container(Container),
    /// What the instance is given.
    Instance(Imds),
}

/// A token in a file, and the role that it is good for.
pub(super) struct WebIdentity {
    sts: Sts,
    role: String,
    file: PathBuf,
}

impl WebIdentity {
    const PLACE: &'static str = "web identity";

    fn of(
        identity: &Identity<'_>,
        sts: &Endpoint,
        variables: &Variables,
        clock: &Clock,
    ) -> Result<Option<Self>, BuildError> {
        let named = (variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"), variables.get("AWS_ROLE_ARN"));
        let (Some(file), Some(role)) = named else { return Ok(None) };
        let session = variables.get("AWS_ROLE_SESSION_NAME");
        let sts = Sts::new(sts, identity.region, session, variables, clock.clone())?;
        Ok(Some(Self { sts, role: role.to_owned(), file: file.into() }))
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let at = |why: String| {
            CredentialsError::at(Self::PLACE, format!("{}: {why}", self.file.display()))
        };
        let token = text_of(&self.file).map_err(|error| at(error.to_string()))?;
        let token = token.ok_or_else(|| at("it is not there".to_owned()))?;
        self.sts.exchange(Self::PLACE, &self.role, token.trim()).await
    }
}

impl Source {
    /// Those that there may be here.
    pub(super) fn all(
        identity: &Identity<'_>,
        sts: &Endpoint,
        variables: &Variables,
        clock: &Clock,
    ) -> Result<Vec<Self>, BuildError> {
        let environment = in_environment(variables).map(Self::Environment);
        let profile = Self::Profile(Profile::of(identity.profile, variables));
        let web = WebIdentity::of(identity, sts, variables, clock)?.map(Self::WebIdentity);
        let container = Container::of(variables)?.map(Self::Container);
        let is_off = variables.get("AWS_EC2_METADATA_DISABLED");
        let is_off = is_off.is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let instance = (!is_off).then(|| Imds::new(ImdsVersion::Two, variables)).transpose()?;
        let all = [environment, Some(profile), web, container, instance.map(Self::Instance)];
        Ok(all.into_iter().flatten().collect())
    }

    /// What it gives now, if it has any.
    pub(super) async fn credentials(&self) -> Result<Option<Credentials>, CredentialsError> {
        match self {
            Self::Environment(credentials) => Ok(Some(credentials.clone())),
            Self::Profile(profile) => profile.credentials().await,
            Self::WebIdentity(web) => web.credentials().await.map(Some),
            Self::Container(container) => container.credentials().await.map(Some),
            Self::Instance(imds) => instance::credentials(imds).await,
        }
    }
}

fn in_environment(variables: &Variables) -> Option<Credentials> {
    let text = |name: &str| variables.get(name).filter(|text| is_shown(text)).map(str::to_owned);
    Some(Credentials {
        key_id: text("AWS_ACCESS_KEY_ID")?,
        secret: text("AWS_SECRET_ACCESS_KEY")?,
        token: text("AWS_SESSION_TOKEN"),
        until: None,
    })
}
