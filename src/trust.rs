//! Whom the certificate of a share server, or of a database, may come from: those whom this machine trusts, and those
//! of a file.
//!
//! The system's authorities stand in the place of the built-in ones, not beside them: whom an administrator took out is
//! not trusted here either, and a company's own is. The built-in ones are for machines that have none, as small
//! containers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why certificates cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file with further authorities cannot be used.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody's certificates would be accepted.
    #[error(
        "no certificate authority is known, so no https server can be trusted: SSL_CERT_FILE or SSL_CERT_DIR names none"
    )]
    Nobody,
    /// The library refuses.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// How TLS is spoken to servers. HTTP/1 alone: a connection that has died shows when it is taken from the pool, and one
/// that is refused within a body can still be read (`upload`); neither is so with HTTP/2, which would win nothing here.
pub(crate) fn client_config(ca_file: Option<&Path>, needed: bool) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if roots.is_empty() && !set("SSL_CERT_FILE") && !set("SSL_CERT_DIR") {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(file) = ca_file {
        let refused = |reason: String| TrustError::File { file: file.to_owned(), reason };
        for authority in read(file).map_err(refused)? {
            let added = roots.add(authority);
            added.map_err(|error| refused(format!("a certificate in it cannot be used: {error}")))?;
        }
    }
    if roots.is_empty() && needed {
        return Err(TrustError::Nobody);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a PEM file: all of them, and at least one.
fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| format!("it is no PEM file: {error}"))?;
    if certificates.is_empty() {
        return Err("no certificate stands in it (PEM, `-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(certificates)
}
