//! Certificates for test servers: an authority of one's own and what it signs. Keys stay in memory and in files that
//! only their server's user can read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::Result;
use crate::error::Context;

/// A certificate authority. Two authorities never trust each other, so a second one serves as "the wrong CA".
#[derive(Clone)]
pub struct Authority(Arc<CertifiedIssuer<'static, KeyPair>>);

/// The files a server needs for TLS.
#[derive(Debug)]
pub(crate) struct ServerFiles {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(key not shown)")
    }
}

impl Authority {
    /// Makes a new authority with a fresh key; `name` is its common name.
    ///
    /// # Errors
    /// When the system gives no randomness or the name cannot stand in a certificate.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(Arc::new(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)))
    }

    /// Writes the authority's certificate (no key) as PEM into `file`: what a client is to trust.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_certificate(&self, file: &Path) -> Result<()> {
        fs::write(file, self.0.pem()).context(format!("cannot write {}", file.display()))
    }

    /// Signs a new server certificate for 127.0.0.1 and localhost and writes all that the server needs into `folder`.
    pub(crate) fn write_server_files(&self, folder: &Path) -> Result<ServerFiles> {
        let files = ServerFiles {
            authority: folder.join("ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server-key.pem"),
        };
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "test server");
        let certificate = params.signed_by(&key, &self.0)?;
        self.write_certificate(&files.authority)?;
        fs::write(&files.certificate, certificate.pem()).context("cannot write the server's certificate")?;
        write_private(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    let what = || format!("cannot write {}", file.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).context(what())?;
    file.write_all(text.as_bytes()).context("cannot write the server's key")
}
