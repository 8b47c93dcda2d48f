//! RunCertificates for `--tls`, made for one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};

use crate::SuiteTls;

/// The placeholders of `--exec` for the files.
const CERTIFICATE: &str = "{cert}";
const KEY: &str = "{key}";
const CLIENT_AUTHORITY: &str = "{client-ca}";

/// The name of the client's certificate.
const CLIENT: &str = "asgi-spec client";

/// A folder with certificates. Dropping it removes the folder.
pub(super) struct RunCertificates {
    folder: PathBuf,
    client_chain: String,
    client_key: String,
    stranger_chain: String,
    stranger_key: String,
}

impl RunCertificates {
    /// Makes an authority, a certificate for localhost and one for a client.
    pub(super) fn new() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("asgi-spec-{}-tls", process::id()));
        let failed = |error: &dyn std::fmt::Display| format!("the certificates for --tls: {error}");
        Self::in_folder(folder).map_err(|error| failed(&error))
    }

    fn in_folder(folder: PathBuf) -> Result<Self, Box<dyn std::error::Error>> {
        let mut authority = params("asgi-spec authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);

        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut server = CertificateParams::new(hosts)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let mut client = params(CLIENT);
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate()?;
        let client_pem = client.signed_by(&client_key, &issuer)?.pem();

        let stranger_key = KeyPair::generate()?;
        let stranger_pem = params("asgi-spec stranger")
            .self_signed(&stranger_key)?
            .pem();

        fs::create_dir_all(&folder)?;
        let made = Self {
            folder,
            client_chain: client_pem,
            client_key: client_key.serialize_pem(),
            stranger_chain: stranger_pem,
            stranger_key: stranger_key.serialize_pem(),
        };
        fs::write(made.file("cert.pem"), server_pem)?;
        fs::write(made.file("key.pem"), server_key.serialize_pem())?;
        fs::write(made.file("client-ca.pem"), authority_pem)?;
        Ok(made)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Fills in the files, and says how the clients speak TLS. They have a certificate if the command
    /// takes their authority.
    pub(super) fn fill_in(&self, command: &str) -> (String, SuiteTls) {
        let path = |name: &str| shown(&self.file(name));
        let filled = command
            .replace(CERTIFICATE, &path("cert.pem"))
            .replace(KEY, &path("key.pem"))
            .replace(CLIENT_AUTHORITY, &path("client-ca.pem"));
        let mut tls = SuiteTls::new();
        if command.contains(CLIENT_AUTHORITY) {
            let subject = format!("CN={CLIENT}");
            tls = tls
                .client_certificate(&self.client_chain, &self.client_key, &subject)
                .invalid_client_certificate(&self.stranger_chain, &self.stranger_key);
        }
        (filled, tls)
    }
}

impl Drop for RunCertificates {
    fn drop(&mut self) {
        // What is left in the folder of temporary files does no harm.
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The parameters of a certificate with this common name alone.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
