//! Signs requests in somebody's name, for a service.

use reqwest::header::HeaderMap;

use super::clock::Clock;
use super::credentials::CredentialsError;
use super::signature::{Request, Scope, headers_of, sign};
use super::wallet::Wallet;

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
