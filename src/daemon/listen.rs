//! Addresses to listen on, and the sockets that are bound to them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, at the most: more than come while all threads are busy for a moment.
const BACKLOG: i32 = 1024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `192.0.2.1:8090`, `[2001:db8::1]:8090`
    Ip(SocketAddr),
    /// `:8090`: all addresses of this machine, of both families.
    Any(u16),
    /// `localhost:8090`: loopback, of both families.
    Localhost(u16),
    /// `unix:PATH`
    Unix(PathBuf),
}

/// Who may connect to a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// Its owner.
    ToOwner,
    /// Everybody on this machine who can get at its directory.
    ToMachine,
}

/// What a daemon listens on.
#[derive(Debug, Default)]
pub struct Sockets {
    /// TCP.
    pub tcp: Vec<TcpListener>,
    /// Unix sockets.
    pub unix: Vec<UnixListener>,
    /// The places of the Unix sockets that this process made.
    pub files: Vec<SocketFile>,
}

/// The file of a Unix socket, which goes when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: Address,
    source: io::Error,
}

impl Address {
    /// Whether all that comes in over it comes from this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().is_loopback(),
            Self::Any(_) => false,
            Self::Localhost(_) | Self::Unix(_) => true,
        }
    }

    /// The same with a free port in place of its own.
    #[must_use]
    pub fn with_any_port(&self) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(SocketAddr::new(address.ip(), 0)),
            Self::Any(_) => Self::Any(0),
            Self::Localhost(_) => Self::Localhost(0),
            Self::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// Listens. A Unix socket that an earlier life left is replaced.
    ///
    /// # Errors
    /// When the address is taken or cannot be used.
    pub fn bind(&self, visible: Visible) -> Result<Sockets, BindError> {
        let bound = match self {
            Self::Ip(address) => TcpListener::bind(address).map(|tcp| Sockets::of_tcp(vec![tcp])),
            Self::Any(port) => bind_any(*port).map(|tcp| Sockets::of_tcp(vec![tcp])),
            Self::Localhost(port) => bind_localhost(*port).map(Sockets::of_tcp),
            Self::Unix(path) => bind_unix(path, visible).map(|listener| Sockets {
                tcp: Vec::new(),
                unix: vec![listener],
                files: vec![SocketFile(path.clone())],
            }),
        };
        bound.map_err(|source| BindError { address: self.clone(), source })
    }
}

impl BindError {
    /// Whether somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == ErrorKind::AddrInUse
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected ADDRESS:PORT, :PORT, localhost:PORT or unix:PATH";
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        match text.rsplit_once(':') {
            Some(("", port)) => port.parse().map(Self::Any).map_err(|_| EXPECTED),
            Some((name, port)) if name.eq_ignore_ascii_case("localhost") => {
                port.parse().map(Self::Localhost).map_err(|_| EXPECTED)
            }
            _ => text.parse().map(Self::Ip).map_err(|_| EXPECTED),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The sockets that systemd holds for this service, so that none is refused while it restarts; none when there are
/// none.
///
/// # Errors
/// When one is neither TCP nor a Unix socket, or does not listen.
pub fn given_sockets() -> io::Result<Option<Sockets>> {
    let mut given = ListenFd::from_env();
    let mut sockets = Sockets::default();
    for nth in 0..given.len() {
        // A socket of another family stays where it is.
        match given.take_unix_listener(nth) {
            Ok(unix) => sockets.unix.extend(unix),
            Err(_) => sockets.tcp.extend(given.take_tcp_listener(nth)?),
        }
    }
    let any = !sockets.tcp.is_empty() || !sockets.unix.is_empty();
    Ok(any.then_some(sockets))
}

impl Sockets {
    fn of_tcp(tcp: Vec<TcpListener>) -> Self {
        Self { tcp, ..Self::default() }
    }

    /// The URL of the first of them: `SCHEME://HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// When there is none, or the system does not say.
    pub fn url(&self, scheme: &str) -> io::Result<String> {
        let name = self.name()?;
        Ok(if self.tcp.is_empty() { name } else { format!("{scheme}://{name}") })
    }

    /// The first of them: `HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// As `url`.
    pub fn name(&self) -> io::Result<String> {
        match (self.tcp.first(), self.unix.first()) {
            (Some(tcp), _) => Ok(tcp.local_addr()?.to_string()),
            (None, Some(unix)) => {
                let address = unix.local_addr()?;
                // It was bound under another name when this process made it.
                let path = self.files.first().map(|file| &*file.0).or(address.as_pathname());
                Ok(format!("unix:{}", path.map(Path::display).ok_or(ErrorKind::AddrNotAvailable)?))
            }
            (None, None) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One socket for both families; where there is no IPv6, one for IPv4.
fn bind_any(port: u16) -> io::Result<TcpListener> {
    let dual_stack = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_only_v6(false)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    match dual_stack() {
        Err(error) if has_no_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        bound => bound,
    }
}

/// A socket for each family, on the same port.
fn bind_localhost(port: u16) -> io::Result<Vec<TcpListener>> {
    let four = TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), port))?;
    match TcpListener::bind((Ipv6Addr::LOCALHOST, four.local_addr()?.port())) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if has_no_ipv6(&error) => Ok(vec![four]),
        Err(error) => Err(error),
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn bind_unix(path: &Path, visible: Visible) -> io::Result<UnixListener> {
    let left_over = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if left_over && UnixStream::connect(path).is_err() {
        // Nobody answers there.
        std::fs::remove_file(path)?;
    }
    // Bound under a name that nobody knows, given its mode, and only then its name.
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&hidden)?;
    let mode = match visible {
        Visible::ToOwner => 0o600,
        Visible::ToMachine => 0o666,
    };
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(mode))?;
    // Another daemon's, or something that is no socket: not ours to take away.
    if std::fs::symlink_metadata(path).is_ok() {
        std::fs::remove_file(&hidden)?;
        return Err(ErrorKind::AddrInUse.into());
    }
    std::fs::rename(&hidden, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, address, is_local) in [
            ("127.0.0.1:8090", Address::Ip(([127, 0, 0, 1], 8090).into()), true),
            ("[::1]:0", Address::Ip((Ipv6Addr::LOCALHOST, 0).into()), true),
            ("192.0.2.1:80", Address::Ip(([192, 0, 2, 1], 80).into()), false),
            (":8090", Address::Any(8090), false),
            ("localhost:8090", Address::Localhost(8090), true),
            ("unix:/run/share.sock", Address::Unix("/run/share.sock".into()), true),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, is_local));
        }
        for bad in
            ["", "8090", "localhost", ":x", ":", "unix:", "example.org:80", "localhost:99999", "::1:80x"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn localhost_is_one_port_of_both_families_and_any_is_reached_by_both() {
        let local = Address::Localhost(0).bind(Visible::ToMachine).unwrap();
        let ports: Vec<_> = local.tcp.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| port == &ports[0]), "{ports:?}");
        for socket in &local.tcp {
            std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        }
        let any = Address::Any(0).bind(Visible::ToMachine).unwrap();
        let port = any.tcp[0].local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if any.tcp[0].local_addr().unwrap().is_ipv6() {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_socket_of_an_earlier_life_is_replaced_and_one_that_is_served_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("a.sock");
        let address = Address::Unix(path.clone());
        drop(UnixListener::bind(&path).unwrap());
        let sockets = address.bind(Visible::ToOwner).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            address.bind(Visible::ToOwner).unwrap_err().to_string().starts_with("cannot listen on unix:")
        );
        assert_eq!(sockets.name().unwrap(), format!("unix:{}", path.display()));
        drop(sockets);
        assert!(!path.exists());
        std::fs::write(&path, "no socket").unwrap();
        assert!(address.bind(Visible::ToOwner).is_err());
    }
}
