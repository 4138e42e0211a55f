//! `aims key`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jose::alg::Algorithm;
use jose::jwk::{Jwk, MAX_SET_LEN, PublicJwkSet};
use jose::key::SigningKey;
use jose::provider::AWS_LC;
use zeroize::Zeroizing;

use crate::args::Key;
use crate::failure::Failure;
use crate::hint;
use crate::input::Inputs;
use crate::text::escaped;

pub(crate) fn run(command: Key, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Key::Generate { alg, kid, out } => generate(alg, kid, out),
        Key::Public { file } => {
            let jwk = public(&file, inputs)?.to_json();
            Ok(Zeroizing::new(format!("{}\n", escaped(&jwk))))
        }
        Key::Set { files } => set(&files, inputs),
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
            write_new(&path, text.as_bytes()).map_err(|error| Failure::file(&path, error))?;
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

/// The public parts of these keys, as one set.
fn set(files: &[PathBuf], inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    let mut keys: Vec<Jwk> = Vec::with_capacity(files.len());
    for path in files {
        let key = public(path, inputs)?;
        for other in &keys {
            // Who reads the set finds a key by its `kid`, or takes the only one that fits.
            if key.key_id() != other.key_id() {
                continue;
            }
            if key.key_id().is_some() {
                return Err(Failure::from(jose::Error::SetDuplicateKeyId).of(path));
            }
            if key.thumbprint() == other.thumbprint() {
                return Err(Failure::Usage("a key is given twice"));
            }
        }
        keys.push(key);
    }
    let set: PublicJwkSet = keys.into_iter().collect();
    Ok(Zeroizing::new(format!("{}\n", escaped(&set.to_json()))))
}

/// A document with the keys that are trusted, none of them private.
pub(crate) fn document(path: &Path, inputs: &mut Inputs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let limit = u64::try_from(MAX_SET_LEN).unwrap_or(u64::MAX);
    let document = inputs.within(path, limit)?;
    hint::no_private_key(&document).map_err(|failure| failure.of(path))?;
    Ok(document)
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
