//! `aims key`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jose::alg::Algorithm;
use jose::jwk::Jwk;
use jose::key::SigningKey;
use jose::provider::AWS_LC;
use zeroize::Zeroizing;

use crate::args::Key;
use crate::failure::Failure;
use crate::input::Inputs;
use crate::text::escaped;

pub(crate) fn run(command: Key, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Key::Generate { alg, kid, out } => generate(alg, kid, out),
        Key::Public { file } => {
            let jwk = public(&file, inputs)?.to_json();
            Ok(Zeroizing::new(format!("{}\n", escaped(&jwk))))
        }
        Key::Thumbprint { file } => {
            let thumbprint = public(&file, inputs)?.thumbprint();
            Ok(Zeroizing::new(format!("{thumbprint}\n")))
        }
    }
}

fn generate(
    algorithm: Algorithm,
    kid: Option<String>,
    out: Option<PathBuf>,
) -> Result<Zeroizing<String>, Failure> {
    let mut key = SigningKey::generate(algorithm, AWS_LC)?;
    if let Some(kid) = kid {
        key = key.with_key_id(kid);
    }
    let mut text = key.to_jwk();
    text.push('\n');
    match out.filter(|path| path != Path::new("-")) {
        Some(path) => {
            write_new(&path, text.as_bytes()).map_err(|error| Failure::File { path, error })?;
            Ok(Zeroizing::default())
        }
        None => Ok(text),
    }
}

/// Makes a file that was not there, for its owner alone (T-168).
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The key that signs, of a private JWK.
pub(crate) fn signing(path: &Path, inputs: &mut Inputs) -> Result<SigningKey, Failure> {
    let text = inputs.bytes(path)?;
    SigningKey::from_jwk(&text, AWS_LC).map_err(|error| Failure::from(error).of(path))
}

/// The public key of a JWK, private or public.
pub(crate) fn public(path: &Path, inputs: &mut Inputs) -> Result<Jwk, Failure> {
    let text = inputs.bytes(path)?;
    let jwk = match Jwk::parse(&text) {
        Err(jose::Error::JwkPrivate) => {
            SigningKey::from_jwk(&text, AWS_LC).map(|key| key.public_jwk().clone())
        }
        parsed => parsed,
    };
    jwk.map_err(|error| Failure::from(error).of(path))
}
