//! Where a server takes the certificates of clients from.

use std::net::{IpAddr, SocketAddr};

use http::Extensions;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::PeerCertificate;
use crate::Error;

/// The other end of the connection on which a request came. The program's listener puts it into the
/// extensions of the request, so that a server knows a [TLS proxy](ClientCertificates::from_proxy).
///
/// ```
/// use aims_oauth_wire::certificate::Peer;
///
/// # fn example(connection: std::net::SocketAddr, request: &mut http::Request<()>) {
/// request.extensions_mut().insert(Peer::from(connection));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Peer {
    /// The address of a TCP connection.
    Address(IpAddr),
    /// A Unix socket. Only what may open the socket's file is at its other end.
    UnixSocket,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address.ip().to_canonical())
    }
}

/// How a server gets the certificate of a client, to which an access token can be bound (RFC 8705
/// §3).
///
/// A request that has `Client-Cert`, `Client-Cert-Chain` or the configured field is refused
/// (`oauth.certificate_field`) unless it comes from the proxy, also if the name has `_` for `-`.
///
/// ```
/// use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer};
///
/// // The program terminates TLS, and puts `PeerCertificate` into the extensions of a request.
/// let direct = ClientCertificates::from_connection();
/// // A proxy terminates TLS, and is at the other end of a Unix socket.
/// let field = CertificateField::client_cert();
/// let behind = ClientCertificates::from_proxy([Peer::UnixSocket], field);
/// # drop((direct, behind));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a server uses certificates when it is given this"]
pub struct ClientCertificates {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Connection,
    Proxy(Vec<Peer>, CertificateField),
}

/// The field in which a TLS proxy sends the certificate of a client.
#[derive(Clone, Debug)]
pub struct CertificateField {
    name: HeaderName,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// RFC 9440 §2.2.
    ClientCert,
    /// PEM with percent-encoding.
    EscapedPem,
}

/// Why a field with the certificate of a client is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// The value is not one certificate.
    #[error("{0}")]
    Malformed(Box<Error>),
    /// The request does not come from the proxy.
    #[error(
        "expected it from a proxy of `ClientCertificates::from_proxy` alone, which the listener \
         names by the extension `Peer`"
    )]
    NotFromProxy,
    /// The proxy does not set this field.
    #[error(
        "the proxy passes on a field that it does not set: expected it to remove the field from \
         requests of clients"
    )]
    PassedOn,
    /// The field occurs more than once.
    #[error("it occurs more than once: expected the proxy to replace what clients send")]
    Repeated,
}

impl CertificateField {
    /// The field `Client-Cert` (RFC 9440).
    #[must_use]
    pub const fn client_cert() -> Self {
        Self {
            name: HeaderName::from_static(CLIENT_CERT),
            form: Form::ClientCert,
        }
    }

    /// A field of this name with PEM in percent-encoding, as nginx has it in
    /// `$ssl_client_escaped_cert`.
    #[must_use]
    pub const fn escaped_pem(name: HeaderName) -> Self {
        Self {
            name,
            form: Form::EscapedPem,
        }
    }
}

impl ClientCertificates {
    /// Takes the certificate that the program's TLS listener puts into the extensions of a request
    /// as a [`PeerCertificate`].
    pub const fn from_connection() -> Self {
        Self {
            source: Source::Connection,
        }
    }

    /// Takes the certificate that a TLS proxy sends in a field. A request comes from the proxy if
    /// the listener put one of these [`Peer`]s into its extensions.
    ///
    /// Every program that can connect from the address of a proxy can send any certificate. So give
    /// the proxy a listener of its own, best a Unix socket.
    pub fn from_proxy(proxies: impl IntoIterator<Item = Peer>, field: CertificateField) -> Self {
        Self {
            source: Source::Proxy(proxies.into_iter().collect(), field),
        }
    }

    /// Returns the certificate of the client that sent a request with these header fields, and with
    /// what the listener put into its extensions.
    ///
    /// # Errors
    ///
    /// `oauth.certificate_field` if a field with a certificate does not come from the proxy, occurs
    /// twice, or is malformed.
    pub fn read(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<PeerCertificate>, Error> {
        let peer = extensions.get::<Peer>();
        let own = match &self.source {
            Source::Proxy(proxies, field) if peer.is_some_and(|it| proxies.contains(it)) => {
                Some(field)
            }
            Source::Connection | Source::Proxy(..) => None,
        };
        // A proxy that sets the field removes it from the requests that it passes on, and may pass
        // on what only looks alike.
        let may_have = |name: &HeaderName| match own {
            Some(field) => {
                *name == field.name || field.name == CLIENT_CERT && name == CLIENT_CERT_CHAIN
            }
            None => false,
        };
        let mut fields = headers.keys().filter(|name| self.names(name));
        if let Some(name) = fields.find(|name| !may_have(name)) {
            return Err(foreign(name, own.is_some()));
        }
        match (&self.source, own) {
            (Source::Connection, _) => Ok(extensions.get::<PeerCertificate>().cloned()),
            (Source::Proxy(..), None) => Ok(None),
            (Source::Proxy(..), Some(field)) => of_field(field, headers),
        }
    }

    /// Removes all fields of certificates, so that no handler relies on them.
    pub fn strip(&self, headers: &mut HeaderMap) {
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|it| self.names(it))
            .cloned()
            .collect();
        for name in names {
            headers.remove(&name);
        }
    }

    /// Returns whether a field of this name can be taken for one with a certificate.
    fn names(&self, name: &HeaderName) -> bool {
        let is = |other: &str| {
            let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
            let same = name.as_str().bytes().map(dashed);
            same.eq(other.bytes().map(dashed))
        };
        let own = match &self.source {
            Source::Proxy(_, field) => is(field.name.as_str()),
            Source::Connection => false,
        };
        own || is(CLIENT_CERT) || is(CLIENT_CERT_CHAIN)
    }
}

/// Reads the field of the proxy. An empty one is absent.
fn of_field(
    field: &CertificateField,
    headers: &HeaderMap,
) -> Result<Option<PeerCertificate>, Error> {
    let mut values = headers.get_all(&field.name).iter();
    let value: &HeaderValue = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(refused(&field.name, FieldProblem::Repeated)),
    };
    if value.is_empty() {
        return Ok(None);
    }
    let read = match field.form {
        Form::ClientCert => PeerCertificate::from_client_cert(value),
        Form::EscapedPem => PeerCertificate::from_escaped_pem(value),
    };
    read.map(Some).map_err(|error| {
        let problem = FieldProblem::Malformed(Box::new(error));
        refused(&field.name, problem)
    })
}

fn foreign(name: &HeaderName, is_proxy: bool) -> Error {
    let problem = if is_proxy {
        FieldProblem::PassedOn
    } else {
        FieldProblem::NotFromProxy
    };
    refused(name, problem)
}

fn refused(field: &HeaderName, problem: FieldProblem) -> Error {
    let field = field.clone();
    Error::CertificateField { field, problem }
}

const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
