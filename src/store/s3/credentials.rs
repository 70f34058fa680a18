//! Credentials, looked at before a request is made of them: the library panics over what none can carry.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use object_store::{
    CredentialProvider,
    aws::{AwsCredential, AwsCredentialProvider},
};

use super::{
    secrets::Secrets,
    surroundings::{Surroundings, TOKEN_FILE, is_plain, name_of},
};
use crate::store::bucket::{BucketError, Trouble};

/// What gives credentials, each time that some are needed.
#[derive(Debug)]
pub(super) struct Checked {
    given: AwsCredentialProvider,
    secrets: Arc<Secrets>,
    /// The container's token, where that is what credentials are asked for with.
    token_file: Option<PathBuf>,
    was_given: AtomicBool,
}

impl Checked {
    /// What `given` gives, looked at.
    pub(super) fn new(given: &AwsCredentialProvider, surroundings: &Surroundings, secrets: &Arc<Secrets>) -> Self {
        Self {
            given: Arc::clone(given),
            secrets: Arc::clone(secrets),
            token_file: surroundings.token_file().map(PathBuf::from),
            was_given: AtomicBool::new(false),
        }
    }

    /// Whether there ever were any.
    pub(super) fn was_given(&self) -> bool {
        self.was_given.load(Ordering::Relaxed)
    }

    /// Makes sure that the container's token can be sent.
    fn check_token(&self) -> Result<(), BucketError> {
        let Some(file) = &self.token_file else { return Ok(()) };
        let named = format!("the file `{}` that {} names", file.display(), name_of(TOKEN_FILE));
        let token = fs::read_to_string(file)
            .map_err(|error| BucketError::new(Trouble::Setup, format!("{named} cannot be read: {error}")))?;
        self.secrets.keep(&token);
        if is_plain(&token) && !token.is_empty() {
            return Ok(());
        }
        let said = format!("{named} holds a line end, or another character that no request can carry, or nothing");
        Err(BucketError::new(Trouble::Setup, said))
    }

    /// The same credentials, without what stands around them.
    fn check(&self, given: Arc<AwsCredential>) -> Result<Arc<AwsCredential>, BucketError> {
        let texts = [Some(&given.key_id), Some(&given.secret_key), given.token.as_ref()];
        texts.iter().skip(1).flatten().for_each(|secret| self.secrets.keep(secret));
        if !texts.iter().flatten().all(|text| is_plain(text.trim())) {
            let said = "the credentials that were given hold a line end or another character that no request can carry";
            return Err(BucketError::new(Trouble::Setup, said));
        }
        if texts.iter().flatten().all(|text| text.trim() == **text) {
            return Ok(given);
        }
        let trimmed = |text: &String| text.trim().to_owned();
        let (key_id, secret_key) = (trimmed(&given.key_id), trimmed(&given.secret_key));
        Ok(Arc::new(AwsCredential { key_id, secret_key, token: given.token.as_ref().map(trimmed) }))
    }
}

#[async_trait]
impl CredentialProvider for Checked {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let generic = |error| object_store::Error::Generic { store: "S3", source: Box::new(error) };
        // Later on, those that are at hand serve without it.
        if !self.was_given() {
            self.check_token().map_err(generic)?;
        }
        let given = self.given.get_credential().await?;
        let given = self.check(given).map_err(generic)?;
        self.was_given.store(true, Ordering::Relaxed);
        Ok(given)
    }
}
