//! Who is counted as one, wherever something is counted by client.

use std::net::{IpAddr, Ipv6Addr};

/// Who is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// An address; an IPv6 network of /64 counts as one, for its owner has all of it.
    Network(IpAddr),
    /// An IPv6 network of /48.
    Site(Ipv6Addr),
    /// A token, by its number.
    Token(i64),
}

impl Client {
    /// The client at an address.
    pub fn at(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(address) => network(address, 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }

    /// The site of its network, which may have many.
    pub fn site(&self) -> Option<Self> {
        match self {
            Self::Network(IpAddr::V6(address)) => Some(Self::Site(network(*address, 48))),
            _ => None,
        }
    }
}

fn network(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}
