//! The server's own key, and how the server proves to a client that it has it.
//!
//! What is signed holds the client's nonce, so that no signature serves twice, and the origin at which the server was
//! asked, so that none serves elsewhere: whoever passes a question on to the true server gets an answer for that
//! server's address and not for its own.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ring::{digest, error};
use serde::{Deserialize, Serialize};

use crate::sqlite::{PathError, at, check_private, sync_dir};

/// The key's file in the data directory: PKCS#8.
const FILE: &str = "server.key";

/// Bytes of a SHA-256 that a fingerprint shows: too many for anybody to make a second key that has them.
const SHOWN: usize = 20;

/// Characters between two hyphens of a fingerprint.
const GROUP: usize = 4;

/// How long a nonce is, in characters.
const NONCE: std::ops::RangeInclusive<usize> = 16..=64;

/// By what people and clients know a server: the beginning of its key's SHA-256, as 32 letters and digits in groups of
/// four.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// A text that is no fingerprint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a fingerprint: eight groups of four letters and digits, with hyphens between them")]
pub struct NoFingerprint;

impl Fingerprint {
    fn of(key: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, key);
        let text = BASE32_NOPAD.encode(&digest.as_ref()[..SHOWN]).to_ascii_lowercase();
        Self::grouped(&text)
    }

    fn grouped(text: &str) -> Self {
        let groups: Vec<_> =
            text.as_bytes().chunks(GROUP).map(|group| String::from_utf8_lossy(group)).collect();
        Self(groups.join("-"))
    }

    /// It.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads what a person may have typed: large letters, without hyphens.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let text: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
        match BASE32_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) if bytes.len() == SHOWN => Ok(Self::grouped(&text.to_ascii_lowercase())),
            _ => Err(NoFingerprint),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

/// What a client makes up for each question: 16 to 64 of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

/// A text that is no nonce.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`nonce` must be 16 to 64 letters, digits, `-` and `_`, new for each request")]
pub struct NoNonce;

impl Nonce {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 20];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE32_NOPAD.encode(&bytes)))
    }

    /// It.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = NoNonce;

    fn from_str(text: &str) -> Result<Self, NoNonce> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_one = NONCE.contains(&text.len()) && text.bytes().all(plain);
        is_one.then(|| Self(text.to_owned())).ok_or(NoNonce)
    }
}

/// The server's own key.
pub struct Identity {
    keys: Ed25519KeyPair,
    fingerprint: Fingerprint,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Its file cannot, or others can read it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file holds something else.
    #[error(
        "{}: this is no key of a server: bring it back from a copy, or move it away, and who has paired with this \
         server has to pair again",
        .0.display()
    )]
    Damaged(PathBuf),
    /// There are no random bytes.
    #[error("the server's key cannot be made: the system gives no random bytes")]
    Random,
}

impl Identity {
    /// The key of a data directory; a new one where there is none.
    ///
    /// # Errors
    /// When its file cannot be used, or others can read it.
    pub fn open(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(dir, &path)?;
                // What another process made at the same time, when it was first.
                fs::read(&path).map_err(at(&path))?
            }
            read => read.map_err(at(&path))?,
        };
        check_private(&path)?;
        let keys = Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| IdentityError::Damaged(path))?;
        let fingerprint = Fingerprint::of(keys.public_key().as_ref());
        Ok(Self { keys, fingerprint })
    }

    /// The key's fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Proves to who asked with this nonce that the key is here, at this origin (`config::exact_origin`).
    pub fn prove(&self, nonce: &Nonce, origin: &str) -> Proof {
        Proof {
            id: self.fingerprint.clone(),
            key: STANDARD.encode(self.keys.public_key()),
            signature: STANDARD.encode(self.keys.sign(signed(nonce, origin).as_bytes())),
        }
    }
}

/// Makes a key, unless there is one by now.
fn make(dir: &Path, path: &Path) -> Result<(), IdentityError> {
    let random = |_: error::Unspecified| IdentityError::Random;
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(random)?;
    // `tempfile` makes its files 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(at(path))?;
    file.write_all(key.as_ref()).and_then(|()| file.as_file().sync_all()).map_err(at(path))?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(at(path)(error.error).into()),
        _ => Ok(sync_dir(path)?),
    }
}

/// What is signed: three lines, each with its end, of which the first says what this is and no other signature.
fn signed(nonce: &Nonce, origin: &str) -> String {
    format!("brutus-share server 1\n{}\n{origin}\n", nonce.0)
}

/// What a server answers when it is asked who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proof {
    /// The key's fingerprint.
    id: Fingerprint,
    /// The public key, in base64.
    key: String,
    /// The signature, in base64.
    signature: String,
}

/// Why an answer proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {claimed} is claimed and not proved")]
pub struct NotProved {
    /// The fingerprint of the key that is claimed.
    pub claimed: Fingerprint,
}

impl Proof {
    /// The key that whoever answered this has proved to have, to who asked for it with this nonce at this origin.
    ///
    /// # Errors
    /// When it has proved none.
    pub fn check(&self, nonce: &Nonce, origin: &str) -> Result<&Fingerprint, NotProved> {
        let is_proved = || {
            let (key, signature) = (STANDARD.decode(&self.key).ok()?, STANDARD.decode(&self.signature).ok()?);
            let message = signed(nonce, origin);
            UnparsedPublicKey::new(&ED25519, &key).verify(message.as_bytes(), &signature).ok()?;
            (Fingerprint::of(&key) == self.id).then_some(())
        };
        is_proved().map(|()| &self.id).ok_or_else(|| NotProved { claimed: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ORIGIN: &str = "http://192.0.2.7:8090";

    fn nonce() -> Nonce {
        Nonce::random().unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let made = Identity::open(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Identity::open(dir.path()).unwrap().fingerprint(), made.fingerprint());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(IdentityError::Path(PathError::Exposed { .. }))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(IdentityError::Damaged(_))));
    }

    #[test]
    fn a_proof_holds_for_one_question_at_one_place() {
        let dir = tempfile::TempDir::new().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        let asked = nonce();
        let proof = identity.prove(&asked, ORIGIN);
        assert_eq!(proof.check(&asked, ORIGIN), Ok(identity.fingerprint()));
        let nothing = Err(NotProved { claimed: identity.fingerprint().clone() });
        assert_eq!(proof.check(&nonce(), ORIGIN), nothing, "replayed");
        for origin in ["https://192.0.2.7:8090", "http://192.0.2.66:8090", "http://192.0.2.7:8091"] {
            assert_eq!(proof.check(&asked, origin), nothing, "passed on to {origin}");
        }
    }

    #[test]
    fn nobody_proves_a_key_of_somebody_else() {
        let (dir, other) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let (true_one, impostor) =
            (Identity::open(dir.path()).unwrap(), Identity::open(other.path()).unwrap());
        let asked = nonce();
        let mut proof = impostor.prove(&asked, ORIGIN);
        assert_eq!(proof.check(&asked, ORIGIN), Ok(impostor.fingerprint()));
        proof.id = true_one.fingerprint().clone();
        assert!(proof.check(&asked, ORIGIN).is_err(), "its own key under another name");
        proof.key = true_one.prove(&asked, ORIGIN).key;
        assert!(proof.check(&asked, ORIGIN).is_err(), "another key with its own signature");
        proof.signature = "no base64".into();
        assert!(proof.check(&asked, ORIGIN).is_err());
    }

    #[test]
    fn what_is_signed_is_what_the_protocol_says() {
        let nonce: Nonce = "abcdefghijklmnop".parse().unwrap();
        let said = "brutus-share server 1\nabcdefghijklmnop\nhttp://192.0.2.7:8090\n";
        assert_eq!(signed(&nonce, ORIGIN), said);
    }

    #[test]
    fn fingerprints_and_nonces_are_read_or_refused() {
        let fingerprint = Fingerprint::of(b"key");
        let text = fingerprint.to_string();
        assert_eq!((text.len(), text.split('-').count()), (39, 8));
        for typed in [text.clone(), text.to_uppercase(), text.replace('-', "")] {
            assert_eq!(typed.parse(), Ok(fingerprint.clone()));
        }
        let (short, long, spaced) = (&text[1..], format!("{text}a"), text.replace('-', " "));
        for bad in ["", "abcd", short, &long, &spaced, &format!("1{short}")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NoFingerprint), "{bad}");
        }
        assert!("abcdefghijklmno".parse::<Nonce>().is_err() && "a".repeat(65).parse::<Nonce>().is_err());
        assert!(
            "a b c d e f g h i".parse::<Nonce>().is_err() && "abcdefghijklmnop\n".parse::<Nonce>().is_err()
        );
        assert!(nonce().as_str().parse::<Nonce>().is_ok() && nonce() != nonce());
    }
}
