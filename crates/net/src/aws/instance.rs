//! The credentials of the role that an EC2 instance has.

use super::credentials::{Credentials, CredentialsError};
use crate::imds::Imds;

const PLACE: &str = "EC2 instance";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// What the metadata service says.
pub(super) async fn credentials(imds: &Imds) -> Result<Option<Credentials>, CredentialsError> {
    let at = |why: String| CredentialsError::at(PLACE, why);
    let text = async |path: &str| imds.text(path).await.map_err(|error| at(error.to_string()));
    let Some(roles) = text(ROLES).await? else { return Ok(None) };
    let Some(role) = roles.lines().next().filter(|role| !role.is_empty()) else { return Ok(None) };
    let is_name =
        role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte));
    if !is_name {
        return Err(at("the role has no name".to_owned()));
    }
    let said = text(&format!("{ROLES}{role}")).await?.unwrap_or_default();
    Credentials::of_json(said.as_bytes()).map(Some).map_err(|why| at(why.to_owned()))
}
