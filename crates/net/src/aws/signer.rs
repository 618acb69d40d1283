//! Signs requests in somebody's name, for a service.

use flb_plugin::keys::Options;
use flb_plugin::{Build, BuildError};
use reqwest::header::HeaderMap;

use super::clock::Clock;
use super::credentials::CredentialsError;
use super::identity::Identity;
use super::signature::{Request, Scope, headers_of, sign};
use super::wallet::Wallet;
use super::{AWS_AUTH, AWS_EXTERNAL_ID, AWS_PROFILE, AWS_REGION, AWS_ROLE_ARN, AWS_STS_ENDPOINT};

/// What signs.
pub struct Signer {
    wallet: Wallet,
    scope: Scope,
    clock: Clock,
}

impl Signer {
    /// What signs for a service of a region.
    pub fn new(wallet: Wallet, region: &str, service: &str, clock: Clock) -> Self {
        let scope = Scope { region: region.to_owned(), service: service.to_owned() };
        Self { wallet, scope, clock }
    }

    /// As the options in [`AUTH_KEYS`](super::AUTH_KEYS) say; `None` where they ask for no signatures.
    pub fn of_options(
        options: &Options,
        service: Option<&str>,
        build: &Build<'_>,
    ) -> Result<Option<Self>, BuildError> {
        if !options.get(AWS_AUTH) {
            return Ok(None);
        }
        let (Some(region), Some(service)) = (options.get(AWS_REGION), service) else {
            return Err(BuildError::new("aws_auth is on, and region or service are not known")
                .help("add aws_region eu-central-1, and aws_service with what is signed for"));
        };
        let identity = Identity {
            region,
            role_arn: options.get(AWS_ROLE_ARN),
            external_id: options.get(AWS_EXTERNAL_ID),
            sts_endpoint: options.get(AWS_STS_ENDPOINT),
            profile: options.get(AWS_PROFILE),
        };
        let wallet = Wallet::new(&identity, &build.service.variables, Clock::system())?;
        Ok(Some(Self::new(wallet, region, service, Clock::system())))
    }

    /// The headers that sign a request.
    pub async fn sign(&self, request: &Request<'_>) -> Result<HeaderMap, CredentialsError> {
        let credentials = self.wallet.credentials().await?;
        Ok(headers_of(sign(request, &self.scope, &credentials, self.clock.now())))
    }

    /// The service says that whoever signed is known no longer.
    pub async fn renew(&self) {
        self.wallet.renew().await;
    }
}
