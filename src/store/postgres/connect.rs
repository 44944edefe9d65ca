//! Connections to the database: who it is, TLS, and a pool of them.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresError;
use crate::config::is_this_machine;
use crate::store::StoreError;
use crate::trust;

/// How long it is tried to connect to one of the hosts that the URL names.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long the database's machine may leave bytes unacknowledged.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be silent before it is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long a turn is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// A connection of the pool, which goes back there.
pub(super) type Connection = deadpool::Object<AsyncPgConnection>;

/// What moves the bytes of a client.
type RawConnection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How the database is reached.
#[derive(Clone)]
pub(crate) struct Database {
    config: Config,
    tls: MakeRustlsConnect,
}

/// A few connections, made when they are needed. Clones are of the same.
#[derive(Clone)]
pub(super) struct Pool(deadpool::Pool<AsyncPgConnection>);

impl Database {
    /// Reads a URL: `postgres://USER:PASSWORD@HOST,HOST/DATABASE?OPTIONS`. Nothing that is said of it shows it: it has
    /// a password.
    pub(crate) fn new(url: &str) -> Result<Self, PostgresError> {
        let (address, options) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root, mut others) = (None, None, Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", file)) => root = Some(PathBuf::from(decoded(file)?)),
                _ => others.push(option),
            }
        }
        let mut config = Config::from_str(&format!("{address}?{}", others.join("&")))
            .map_err(|error| PostgresError::Url(error.to_string()))?;
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => is_this_machine(name),
            Host::Unix(_) => true,
        });
        let encrypted = match mode {
            None => !local,
            Some("disable") => false,
            // Certificates are always checked.
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(PostgresError::Url("sslmode is verify-full or disable".into())),
        };
        if !encrypted && !local {
            tracing::warn!("sslmode=disable: sessions go to the database over the network in clear");
        }
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let named = |name: &str| others.iter().any(|option| option.split('=').next() == Some(name));
        if !named("connect_timeout") {
            config.connect_timeout(CONNECT_WITHIN);
        }
        if !named("tcp_user_timeout") {
            config.tcp_user_timeout(DEAD_PEER_TIMEOUT);
        }
        if !named("keepalives_idle") {
            config.keepalives_idle(KEEPALIVE);
        }
        if !named("application_name") {
            config.application_name("brutus-share");
        }
        if !named("target_session_attrs") {
            // Of several hosts, the one that can be written: after a failover another one.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = trust::client_config(root.as_deref(), encrypted)?;
        let mut tls = rustls::ClientConfig::clone(&tls);
        tls.alpn_protocols.clear();
        Ok(Self { config, tls: MakeRustlsConnect::new(tls) })
    }

    /// Where it is: hosts and the database's name.
    pub(crate) fn place(&self) -> String {
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(dir) => dir.display().to_string(),
        };
        let hosts: Vec<_> = self.config.get_hosts().iter().map(host).collect();
        format!("{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<AsyncPgConnection, ConnectError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        Ok(AsyncPgConnection::try_from_client_and_connection(client, connection).await?)
    }

    /// Connects without Diesel, for who listens to notifications: they come by the second of the two.
    pub(crate) async fn client(&self) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// A pool of `most` connections.
    pub(super) fn pool(&self, most: usize) -> Result<Pool, PostgresError> {
        self.pool_with(most, None)
    }

    /// A pool of `most` connections, on each of which some statements are run first.
    pub(super) fn pool_with(&self, most: usize, setup: Option<&'static str>) -> Result<Pool, PostgresError> {
        let database = self.clone();
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| {
            let database = database.clone();
            let connected = async move {
                let mut connection = database.connect().await?;
                if let Some(setup) = setup {
                    let done = connection.batch_execute(setup).await;
                    done.map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok::<_, ConnectError>(connection)
            };
            connected
                .map(|result| result.map_err(|error| ConnectionError::BadConnection(reason(&error))))
                .boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let pool = deadpool::Pool::builder(manager).max_size(most).build();
        Ok(Pool(pool.map_err(|error| PostgresError::Database(error.to_string()))?))
    }
}

impl Pool {
    /// A connection, which was not known to be broken when it was last used.
    pub(super) async fn get(&self) -> Result<Connection, StoreError> {
        match timeout(WAIT, self.0.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot connect to the database");
                Err(StoreError::Unavailable)
            }
            Err(_) => Err(StoreError::Busy),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The client says.
    #[error(transparent)]
    Client(#[from] tokio_postgres::Error),
    /// Diesel says.
    #[error(transparent)]
    Diesel(#[from] ConnectionError),
}

impl ConnectError {
    /// Whether it may go by itself: the database cannot be reached, or is just starting, stopping or failing over. What
    /// it says of users, passwords and names of databases does not, nor what is wrong with a certificate.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Client(error) => {
                if let Some(code) = error.code() {
                    return ["57P", "53", "08"].iter().any(|class| code.code().starts_with(class));
                }
                let cause = std::error::Error::source(error);
                let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
                // What the TLS library finds wrong comes as invalid data.
                cause.is_none_or(|cause| cause.kind() != io::ErrorKind::InvalidData)
            }
            Self::Diesel(_) => true,
        }
    }
}

/// An error with what caused it: the client's own words alone say little.
pub(super) fn reason(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether a connection can be used after an error: then that was the database's own word, and what was asked is
/// undone.
pub(super) async fn is_alive(connection: &mut Connection) -> bool {
    matches!(timeout(CONNECT_WITHIN, connection.batch_execute("SELECT 1")).await, Ok(Ok(())))
}

fn decoded(text: &str) -> Result<String, PostgresError> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| PostgresError::Url("sslrootcert is not UTF-8".into()))?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(SslMode, String), String> {
        let database = Database::new(url).map_err(|error| error.to_string())?;
        Ok((database.config.get_ssl_mode(), database.place()))
    }

    #[test]
    fn what_goes_to_another_machine_is_encrypted_unless_somebody_says_otherwise() {
        let mode = |url: &str| read(url).unwrap().0;
        assert_eq!(mode("postgres://u:secret@127.0.0.1,[::1]:5433/share"), SslMode::Disable);
        assert_eq!(mode("postgres:///share?host=/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost/share?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@a.example,localhost/share"), SslMode::Require);
        assert_eq!(mode("postgres://u@a.example/share?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn what_is_said_of_a_url_shows_no_password() {
        assert_eq!(read("postgres://u:secret@localhost:5433/share").unwrap().1, "localhost/share");
        for url in [
            "postgres://u:secret@localhost/share?sslmode=prefer",
            "postgres://u:secret@localhost/share?secret=1",
            "postgres://u:secret@localhost:port/share",
            "postgres://u:secret%zz@localhost:secret",
            "postgres://u@localhost/share?sslmode=require&sslrootcert=/no/such/file",
        ] {
            let error = read(url).unwrap_err();
            assert!(!error.contains("u:secret"), "{error}");
        }
    }
}
