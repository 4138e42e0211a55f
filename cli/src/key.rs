//! `aims key`: commands for keys.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aims_jose::alg::Algorithm;
use aims_jose::jwk::{Jwk, MAX_SET_LEN, PublicJwkSet};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use zeroize::Zeroizing;

use crate::args::Key;
use crate::failure::Failure;
use crate::hint;
use crate::input::Inputs;
use crate::text::escaped;

pub(crate) fn run(command: Key, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Key::Generate { alg, kid, out } => generate(alg, kid, out),
        Key::Public { pem_alg, file } => {
            let jwk = read(&file, pem_alg, inputs)?.to_json();
            Ok(Zeroizing::new(format!("{}\n", escaped(&jwk))))
        }
        Key::Set { pem_alg, files } => set(&files, pem_alg, inputs),
        Key::Thumbprint { pem_alg, file } => {
            let thumbprint = read(&file, pem_alg, inputs)?.thumbprint();
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

/// Creates a new file that only its owner can read.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads the signing key of a private JWK.
pub(crate) fn signing(path: &Path, inputs: &mut Inputs) -> Result<SigningKey, Failure> {
    let text = inputs.bytes(path)?;
    SigningKey::from_jwk(&text, AWS_LC).map_err(|error| hint::no_pem(error.into(), &text).of(path))
}

/// Reads a signing key: a JWK, or PKCS#8 in PEM with this algorithm.
pub(crate) fn private(
    path: &Path,
    pem: Option<Algorithm>,
    inputs: &mut Inputs,
) -> Result<SigningKey, Failure> {
    let text = inputs.bytes(path)?;
    let key = match pem_algorithm(&text, pem)? {
        Some(algorithm) => of_pem(&text, algorithm),
        None => SigningKey::from_jwk(&text, AWS_LC).map_err(Failure::from),
    };
    key.map_err(|failure| failure.of(path))
}

/// Returns the algorithm of a key in PEM, or `None` for a JWK.
fn pem_algorithm(text: &[u8], given: Option<Algorithm>) -> Result<Option<Algorithm>, Failure> {
    match (hint::is_pem(text), given) {
        (true, None) => Err(Failure::Usage("a key in PEM needs `--pem-alg`")),
        (false, Some(_)) => Err(Failure::Usage(
            "a JWK says its algorithm itself: `--pem-alg` is for PEM",
        )),
        _ => Ok(given),
    }
}

fn of_pem(text: &[u8], algorithm: Algorithm) -> Result<SigningKey, Failure> {
    str::from_utf8(text)
        .or(Err(aims_jose::Error::Pem))
        .and_then(|pem| SigningKey::from_pkcs8_pem(pem, algorithm, AWS_LC))
        .map_err(|error| hint::pem(error.into(), text))
}

/// Returns the public parts of these keys as one set.
fn set(
    files: &[PathBuf],
    pem: Option<Algorithm>,
    inputs: &mut Inputs,
) -> Result<Zeroizing<String>, Failure> {
    let mut keys: Vec<Jwk> = Vec::with_capacity(files.len());
    let mut unused = pem;
    for path in files {
        let text = inputs.bytes(path)?;
        // JWKs have an algorithm of their own.
        let own = pem.filter(|_| hint::is_pem(&text));
        unused = unused.filter(|_| own.is_none());
        let key = parsed(&text, own).map_err(|failure| failure.of(path))?;
        for other in &keys {
            // A reader of the set finds a key by its `kid`, or uses the only one that fits.
            if key.key_id() != other.key_id() {
                continue;
            }
            if key.key_id().is_some() {
                return Err(Failure::from(aims_jose::Error::SetDuplicateKeyId).of(path));
            }
            if key.thumbprint() == other.thumbprint() {
                return Err(Failure::Usage("a key is given twice"));
            }
        }
        keys.push(key);
    }
    if unused.is_some() {
        pem_algorithm(b"", unused)?;
    }
    let set: PublicJwkSet = keys.into_iter().collect();
    Ok(Zeroizing::new(format!("{}\n", escaped(&set.to_json()))))
}

/// Reads a document with trusted keys. It must not contain a private key.
pub(crate) fn document(path: &Path, inputs: &mut Inputs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let limit = u64::try_from(MAX_SET_LEN).unwrap_or(u64::MAX);
    let document = inputs.within(path, limit)?;
    hint::no_private_key(&document).map_err(|failure| failure.of(path))?;
    Ok(document)
}

/// Reads the public key of a JWK, private or public, in the strict form of the standards.
pub(crate) fn public(path: &Path, inputs: &mut Inputs) -> Result<Jwk, Failure> {
    let text = inputs.bytes(path)?;
    let key = public_or_private(&text, Jwk::parse(&text));
    key.map_err(|failure| hint::no_pem(failure, &text).of(path))
}

/// Reads a public key like [`public`], or that of a private key in PEM with this algorithm.
fn read(path: &Path, pem: Option<Algorithm>, inputs: &mut Inputs) -> Result<Jwk, Failure> {
    let text = inputs.bytes(path)?;
    parsed(&text, pem).map_err(|failure| failure.of(path))
}

fn parsed(text: &[u8], pem: Option<Algorithm>) -> Result<Jwk, Failure> {
    match pem_algorithm(text, pem)? {
        Some(algorithm) => of_pem(text, algorithm).map(|key| key.public_jwk().clone()),
        None => of_jwk(text),
    }
}

/// Reads the public key of a JWK to inspect. A public one may have the looser form that servers
/// publish.
fn of_jwk(text: &[u8]) -> Result<Jwk, Failure> {
    let jwk = public_or_private(text, Jwk::parse_published(text))?;
    jwk.check_point(AWS_LC)?;
    Ok(jwk)
}

fn public_or_private(text: &[u8], parsed: Result<Jwk, aims_jose::Error>) -> Result<Jwk, Failure> {
    match parsed {
        Err(aims_jose::Error::JwkPrivate) => {
            let key = SigningKey::from_jwk(text, AWS_LC)?;
            Ok(key.public_jwk().clone())
        }
        parsed => Ok(parsed?),
    }
}
