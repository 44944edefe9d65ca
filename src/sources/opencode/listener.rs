//! Whose the listener of a local port is: on a machine of several users anybody can take a port that another's agent
//! would.

use std::fs;

/// The table of sockets, on Linux.
const TABLE: &str = "/proc/net/tcp";

/// The state of a socket that listens.
const LISTENS: &str = "0A";

/// Whether another user than this process's listens at a URL of 127.0.0.1. `false` where nobody can tell.
pub(super) fn is_of_another(url: &str) -> bool {
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let table = fs::read_to_string(TABLE).ok();
    let owner = table.zip(port).and_then(|(table, port)| owner(&table, port));
    owner.is_some_and(|owner| owner != rustix::process::geteuid().as_raw())
}

/// The user whose socket listens at a port of 127.0.0.1, or of all addresses.
fn owner(table: &str, port: u16) -> Option<u32> {
    // `number: local remote state queues timer retransmits user …`, in hexadecimal digits of this machine's order.
    let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (address, listens_at) = fields.get(1)?.split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?;
        let is_it = (address == loopback || address == 0)
            && u16::from_str_radix(listens_at, 16) == Ok(port)
            && fields.get(3) == Some(&LISTENS);
        is_it.then(|| fields.get(7)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_has_an_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_of_another(&format!("http://127.0.0.1:{port}")));
        let line = |user: u32| {
            let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
            format!(
                "head\n 0: {local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {user}        0 1\n"
            )
        };
        assert_eq!(owner(&line(1234), port), Some(1234));
        assert_eq!(owner(&line(1234), port ^ 1), None);
        if let Ok(table) = fs::read_to_string(TABLE) {
            assert_eq!(owner(&table, port), Some(rustix::process::geteuid().as_raw()));
        }
    }
}
