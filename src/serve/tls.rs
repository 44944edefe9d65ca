//! TLS with certificates from files, which can be read again while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config;

/// The server's certificate and key. Clones are of the same.
#[derive(Debug, Clone)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of the two files is not named.
    #[error("tls_cert and tls_key belong together: one of them is not set")]
    Half,
    /// A file cannot be read, or is not PEM of the kind that is expected.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is none that this program knows, or not that of the certificate.
    #[error("the key does not fit the certificate: {0}")]
    Key(#[from] rustls::Error),
}

impl Certificate {
    /// Reads the files that the configuration names; `None` when it names none.
    ///
    /// # Errors
    /// When they cannot be read, or do not fit together.
    pub fn open(config: &config::Tls) -> Result<Option<Self>, CertificateError> {
        let (cert, key) = match (config.tls_cert.clone(), config.tls_key.clone()) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) => return Ok(None),
            _ => return Err(CertificateError::Half),
        };
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&cert, &key)?)));
        Ok(Some(Self { cert, key, current }))
    }

    /// Reads the files again. New connections get what they hold; when they cannot be used, what was there stays.
    ///
    /// # Errors
    /// When they cannot be read, or do not fit together.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.current.0.store(Arc::new(read(&self.cert, &self.key)?));
        Ok(())
    }

    pub(super) fn config(&self) -> Result<ServerConfig, CertificateError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(builder.with_cert_resolver(self.current.clone()))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let file = |file: &Path, reason: String| CertificateError::File { file: file.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| file(cert, error.to_string()))?;
    if certificates.is_empty() {
        return Err(file(cert, "there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error.to_string()))?;
    Ok(CertifiedKey::from_der(certificates, key, &ring::default_provider())?)
}
