//! nginx as the proxy: found on `PATH`, started with its own configuration in a temporary folder,
//! and stopped at the end of the program.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::meddling::{Meddling, ROWS, Row};
use crate::tls::Tls;

/// A proxy that listens for TLS on a port of loopback until this value is dropped.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// The order matters: the process must end before its folder is removed.
    _running: Option<(Process, Folder)>,
}

impl Proxy {
    pub(crate) const fn new(name: &'static str, port: u16) -> Self {
        Self {
            name,
            port,
            _running: None,
        }
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // This kills only the child process, which may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Starts nginx, if it is installed.
pub(crate) async fn start(tls: &Tls, upstream: SocketAddr) -> Result<Option<Proxy>, Failure> {
    // Debian installs it in a folder that is not on the `PATH` of users.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let Some(program) = places.map(|it| it.join("nginx")).find(|it| it.is_file()) else {
        return Ok(None);
    };
    for _attempt in 0..5 {
        if let Some(proxy) = attempt(&program, tls, upstream).await? {
            return Ok(Some(proxy));
        }
    }
    Err("nginx is installed, and does not start".into())
}

/// Tries a free port. nginx does not accept port 0, so the port may be taken by another program
/// meanwhile.
async fn attempt(
    program: &Path,
    tls: &Tls,
    upstream: SocketAddr,
) -> Result<Option<Proxy>, Failure> {
    let free = TcpListener::bind("127.0.0.1:0").await?;
    let port = free.local_addr()?.port();
    drop(free);
    let folder = format!("aims-proxy-{}-{port}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(folder));
    let here = &folder.0;
    fs::create_dir(here)?;
    write(here, "proxy.pem", &tls.certificate)?;
    write(here, "proxy.key", &tls.key)?;
    write(here, "nginx.conf", &configuration(here, port, upstream))?;
    let child = Command::new(program)
        .arg("-p")
        .arg(here)
        .arg("-e")
        .arg(here.join("error.log"))
        .arg("-c")
        .arg(here.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut process = Process(child);
    for _tenth in 0..50 {
        if process.0.try_wait()?.is_some() {
            return Ok(None);
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(Some(Proxy {
                name: "nginx",
                port,
                _running: Some((process, folder)),
            }));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}

/// Writes a file that only its owner can read, because the folder holds a private key.
fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(folder.join(name))?;
    file.write_all(text.as_bytes())
}

fn configuration(folder: &Path, port: u16, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let locations: String = ROWS.iter().map(|row| location(row, upstream)).collect();
    format!(
        "daemon off; master_process off;
pid '{folder}/pid';
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path '{folder}/content';
  proxy_temp_path '{folder}/answers';
  fastcgi_temp_path '{folder}/fastcgi';
  uwsgi_temp_path '{folder}/uwsgi';
  scgi_temp_path '{folder}/scgi';
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate '{folder}/proxy.pem';
    ssl_certificate_key '{folder}/proxy.key';
    proxy_http_version 1.1;
{locations}  }}
}}
"
    )
}

fn location(row: &Row, upstream: SocketAddr) -> String {
    // A `proxy_pass` without a path forwards the target unchanged.
    let (to, with) = match row.does {
        Meddling::None => ("", ""),
        Meddling::Forwarded => (
            "",
            "proxy_set_header Via '1.1 proxy'; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;",
        ),
        Meddling::Host => ("", ""),
        Meddling::Path => ("/api/mcp/path", ""),
        Meddling::Query => ("/mcp/query?admin=1", ""),
        Meddling::Method => ("", "proxy_method PUT;"),
        Meddling::Body => ("", r#"proxy_set_body '{"city":"Rome"}';"#),
        Meddling::Digest => ("", "proxy_set_header Content-Digest '';"),
        Meddling::ContentType => ("", "proxy_set_header Content-Type text/plain;"),
        Meddling::Answer => ("", "sub_filter_types *; sub_filter Oslo Rome;"),
        Meddling::AnswerUnsigned => (
            "",
            "proxy_hide_header Signature; proxy_hide_header Signature-Input;",
        ),
    };
    let host = match row.does {
        Meddling::Host => "tool.internal",
        _ => "$http_host",
    };
    format!(
        "    location = {} {{ proxy_pass http://{upstream}{to}; proxy_set_header Host {host}; {with} }}\n",
        row.path
    )
}
