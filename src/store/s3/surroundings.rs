//! What the environment says of credentials and the region: the variables that vcq obeys, and what they may hold.

use std::net::IpAddr;

use object_store::aws::AmazonS3ConfigKey as Key;
use url::{Host, Url};

use super::secrets::Secrets;
use crate::{
    config::ObjectStores,
    store::bucket::{BucketError, Trouble},
};

/// The variables that are obeyed, as `config/BUCKETS.md` lists them. No other one has a say in where and how data go.
const VARIABLES: [(&str, Key); 13] = [
    ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
    ("AWS_SESSION_TOKEN", Key::Token),
    ("AWS_REGION", Key::Region),
    ("AWS_DEFAULT_REGION", Key::DefaultRegion),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", Key::RoleArn),
    ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
    ("AWS_METADATA_ENDPOINT", Key::MetadataEndpoint),
];

/// Variables by which the tools of AWS reach another store. vcq writes where its configuration says, and nowhere else.
const OTHER_STORES: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// Those that name whoever gives credentials, in their order, and who that is in words for people.
const GIVERS: [(Key, &str); 4] = [
    (Key::AccessKeyId, "the environment"),
    (Key::WebIdentityTokenFile, "the web identity"),
    (Key::ContainerCredentialsRelativeUri, "the container"),
    (Key::ContainerCredentialsFullUri, "the container"),
];

/// The variable that names the container's token.
pub(super) const TOKEN_FILE: Key = Key::ContainerAuthorizationTokenFile;

/// Variables of which the first is of no use without the second.
const PAIRS: [(Key, Key); 4] = [
    (Key::AccessKeyId, Key::SecretAccessKey),
    (Key::SecretAccessKey, Key::AccessKeyId),
    (Key::WebIdentityTokenFile, Key::RoleArn),
    (Key::ContainerCredentialsFullUri, Key::ContainerAuthorizationTokenFile),
];

/// Where the relative address of a container's credentials is asked for.
const CONTAINER: &str = "http://169.254.170.2";

/// What the variables of the environment say. Secrets are among it.
#[derive(Default)]
pub(super) struct Surroundings {
    values: Vec<(Key, String)>,
    /// The first variable that names another store.
    other_store: Option<&'static str>,
}

impl Surroundings {
    /// Of these variables those that are obeyed, without blanks and line ends around their values. Who sets one to nothing has not
    /// set it.
    pub(super) fn of(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut found = Self::default();
        for (name, value) in environment {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            if let Some((_, key)) = VARIABLES.iter().find(|(known, _)| *known == name) {
                found.values.push((*key, value.to_owned()));
            }
            let other_store = OTHER_STORES.iter().copied().find(|other| *other == name);
            found.other_store = found.other_store.or(other_store);
        }
        found
    }

    /// What the library is told.
    pub(super) fn values(&self) -> impl Iterator<Item = &(Key, String)> {
        self.values.iter()
    }

    /// What is set for a key.
    pub(super) fn value(&self, key: Key) -> Option<&str> {
        self.values.iter().find(|(of, _)| *of == key).map(|(_, value)| value.as_str())
    }

    /// The secrets among it.
    pub(super) fn keep_secrets(&self, secrets: &Secrets) {
        [Key::SecretAccessKey, Key::Token]
            .into_iter()
            .filter_map(|key| self.value(key))
            .for_each(|it| secrets.keep(it));
    }

    /// Who gives credentials, in words for people; none: nothing but the instance can give any.
    pub(super) fn giver(&self) -> Option<String> {
        let giver = self.giver_key()?;
        let words = GIVERS.iter().find(|(key, _)| *key == giver).map_or("", |(_, words)| words);
        Some(format!("{words} ({})", name_of(giver)))
    }

    /// The file of the container's token, where credentials are asked for with that.
    pub(super) fn token_file(&self) -> Option<&str> {
        self.value(TOKEN_FILE).filter(|_| self.giver_key() == Some(Key::ContainerCredentialsFullUri))
    }

    /// The variable that names whoever gives credentials: the first one that is set.
    fn giver_key(&self) -> Option<Key> {
        let keys = [Key::AccessKeyId, Key::SecretAccessKey];
        if keys.iter().any(|key| self.value(*key).is_some()) {
            return Some(Key::AccessKeyId);
        }
        GIVERS.iter().map(|(key, _)| *key).find(|key| self.value(*key).is_some())
    }

    /// Whether anything is made of a variable: not of those of another giver.
    fn is_used(&self, key: Key) -> bool {
        let giver = match key {
            Key::AccessKeyId | Key::SecretAccessKey | Key::Token => Some(Key::AccessKeyId),
            Key::WebIdentityTokenFile | Key::RoleArn | Key::RoleSessionName | Key::StsEndpoint => {
                Some(Key::WebIdentityTokenFile)
            }
            Key::ContainerCredentialsFullUri | TOKEN_FILE => Some(Key::ContainerCredentialsFullUri),
            Key::ContainerCredentialsRelativeUri => Some(key),
            Key::MetadataEndpoint => None,
            _ => return true,
        };
        self.giver_key() == giver
    }

    /// Makes sure that requests can be made of it, and that it sends nothing to where it does not belong.
    ///
    /// # Errors
    ///
    /// [`Trouble::Setup`] with the variable's name.
    pub(super) fn check(&self, settings: &ObjectStores) -> Result<(), BucketError> {
        if let Some(name) = self.other_store.filter(|_| settings.endpoint.is_none()) {
            return refused(&format!(
                "the variable {name} names a store, and the configuration none: set `store.endpoint` to it, or unset the variable"
            ));
        }
        for (key, value) in self.values.iter().filter(|(key, _)| self.is_used(*key)) {
            if !is_plain(value) {
                return refused(&format!(
                    "the variable {} holds a line end or another character that no request can carry",
                    name_of(*key)
                ));
            }
            if let Some(rule) = rule_of(*key).filter(|(_, holds)| !holds(value)).map(|(rule, _)| rule) {
                return refused(&format!("the variable {} holds no {rule}", name_of(*key)));
            }
        }
        for (one, other) in PAIRS {
            if self.is_used(one) && self.value(one).is_some() && self.value(other).is_none() {
                return refused(&format!("the variable {} is set, and {} is not", name_of(one), name_of(other)));
            }
        }
        Ok(())
    }
}

fn refused(said: &str) -> Result<(), BucketError> {
    Err(BucketError::new(Trouble::Setup, said))
}

/// The variable of a key.
pub(super) fn name_of(key: Key) -> &'static str {
    VARIABLES.iter().find(|(_, of)| *of == key).map_or("", |(name, _)| name)
}

/// Whether a request can carry a text.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii() && !c.is_control())
}

/// What a variable holds, in words and as a check.
type Rule = (&'static str, fn(&str) -> bool);

/// The rule of a variable, if it has one.
fn rule_of(key: Key) -> Option<Rule> {
    Some(match key {
        Key::Region | Key::DefaultRegion => ("region such as `eu-central-1`", is_region),
        Key::StsEndpoint => ("https URL", |text| address(text).is_some_and(|url| url.scheme() == "https")),
        Key::MetadataEndpoint | Key::ContainerCredentialsFullUri => {
            ("https URL, or http URL of this machine or its network link", |text| {
                address(text).is_some_and(|url| url.scheme() == "https" || (url.scheme() == "http" && is_near(&url)))
            })
        }
        Key::ContainerCredentialsRelativeUri => ("path that begins with `/`", |text| {
            text.starts_with('/') && address(&format!("{CONTAINER}{text}")).is_some()
        }),
        _ => return None,
    })
}

fn is_region(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let has_blank = text.contains(char::is_whitespace);
    (url.has_host() && url.username().is_empty() && url.password().is_none() && !has_blank).then_some(url)
}

/// Whether an address is one of this machine, or one that no router passes on.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_link_local() || IpAddr::V4(ip).is_loopback(),
        // The one address of AWS that answers within an instance, besides.
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.segments()[..2] == [0xfd00, 0x0ec2]
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(variables: &[(&str, &str)], settings: &ObjectStores) -> Result<(), String> {
        let of = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Surroundings::of(variables.iter().map(of)).check(settings).map_err(|error| error.said)
    }

    #[test]
    fn what_no_request_can_be_made_of_is_told_by_the_variable_s_name() {
        for (name, value, is_taken) in [
            ("AWS_REGION", "us-east-1 ", true),
            ("AWS_DEFAULT_REGION", "us-east-1\n", true),
            ("AWS_REGION", "us east", false),
            ("AWS_REGION", "us-east-1/x", false),
            ("AWS_ACCESS_KEY_ID", "", true),
            ("AWS_SESSION_TOKEN", "a\nb", false),
            ("AWS_SESSION_TOKEN", "é", false),
            ("AWS_ENDPOINT_URL_STS", "nonsense", false),
            ("AWS_ENDPOINT_URL_STS", "http://sts.example.com", false),
            ("AWS_ENDPOINT_URL_STS", "https://sts.cn-north-1.amazonaws.com.cn", true),
            ("AWS_METADATA_ENDPOINT", "nonsense", false),
            ("AWS_METADATA_ENDPOINT", "http://example.com", false),
            ("AWS_METADATA_ENDPOINT", "http://169.254.169.254", true),
            ("AWS_METADATA_ENDPOINT", "http://[fd00:ec2::254]", true),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".example.com/", false),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials", true),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/", false),
            ("AWS_ACCESS_KEY_ID", "AKIA", false),
            ("AWS_SECRET_ACCESS_KEY", "secret", false),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token", false),
        ] {
            // Of what another giver has, nothing is made.
            let besides: &[(&str, &str)] = match name {
                "AWS_SESSION_TOKEN" => &[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "secret")],
                "AWS_ENDPOINT_URL_STS" => &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn")],
                _ => &[],
            };
            let checked = checked(&[besides, &[(name, value)]].concat(), &ObjectStores::default());
            assert_eq!(checked.is_ok(), is_taken, "{name}={value}: {checked:?}");
            assert!(checked.err().is_none_or(|said| said.contains(name)), "{name}={value}");
        }
    }

    /// A container may have variables of another way than the one that is taken.
    #[test]
    fn what_nothing_is_made_of_is_not_looked_at() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        for (name, value) in [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_METADATA_ENDPOINT", "nonsense"),
        ] {
            let variables = [&keys[..], &[(name, value)]].concat();
            assert_eq!(checked(&variables, &ObjectStores::default()), Ok(()), "{name}");
        }
    }

    #[test]
    fn only_what_is_documented_is_obeyed() {
        let documented = include_str!("../../../config/BUCKETS.md");
        for name in VARIABLES.iter().map(|(name, _)| name).chain(&OTHER_STORES) {
            assert!(documented.contains(&format!("`{name}`")), "{name} is not in config/BUCKETS.md");
        }
        for name in ["AWS_CONDITIONAL_PUT", "AWS_SKIP_SIGNATURE", "AWS_S3_EXPRESS", "AWS_BUCKET", "aws_region", "PATH"]
        {
            let found = Surroundings::of([(name.to_owned(), "true".to_owned())]);
            assert_eq!(found.values().count(), 0, "{name}");
        }
    }

    #[test]
    fn a_variable_sends_the_data_to_no_other_store() {
        let set =
            ObjectStores { endpoint: Some("https://minio.example.com".parse().unwrap()), ..ObjectStores::default() };
        for name in OTHER_STORES {
            let variables = [(name, "https://elsewhere.example.com")];
            let said = checked(&variables, &ObjectStores::default()).unwrap_err();
            assert!(said.contains(name) && said.contains("`store.endpoint`"), "{said}");
            assert_eq!(checked(&variables, &set), Ok(()));
        }
    }
}
