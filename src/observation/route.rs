//! Default routes: without one, everything that is not next door is gone while all interfaces are fine.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A default route that came, went, or leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// True for `::/0`, false for `0.0.0.0/0`.
    pub ipv6: bool,
    /// Number of the routing table; 254 is main.
    pub table: u32,
    /// Of several routes the one with the lowest metric is used.
    pub metric: u32,
    /// Where it led; none where there was none.
    pub before: Option<Route>,
    /// Where it leads; none when it is gone.
    pub now: Option<Route>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// "unicast", or what happens instead: "unreachable", "blackhole", "prohibit", ...
    pub kind: String,
    /// The next hops; none for kinds that lead nowhere.
    pub hops: Vec<NextHop>,
    /// Who made it, as ip-route(8) names protocols (`rtm_protocol`): "dhcp", "ra", "static", "boot" for a command;
    /// none where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// One next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// The router; none where everybody is next door, as on a tunnel.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub interface: Option<String>,
    /// False while its interface is down or has no carrier.
    pub usable: bool,
}

impl RouteChange {
    /// The interface it leads over now, or led over before; none if that is not one.
    pub fn interface(&self) -> Option<&str> {
        match &self.now.as_ref().or(self.before.as_ref())?.hops[..] {
            [hop] => hop.interface.as_deref(),
            _ => None,
        }
    }

    /// True if there was a way and now there is none that can be used.
    pub fn is_gone(&self) -> bool {
        let leads = |route: &Option<Route>| {
            route.as_ref().is_some_and(|route| route.hops.iter().any(|hop| hop.usable))
        };
        leads(&self.before) && !leads(&self.now)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hops.is_empty() {
            return f.write_str(&self.kind);
        }
        for (index, hop) in self.hops.iter().enumerate() {
            write!(f, "{}{hop}", if index > 0 { " and " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.gateway, &self.interface) {
            (Some(gateway), Some(interface)) => write!(f, "via {gateway} on {interface}")?,
            (Some(gateway), None) => write!(f, "via {gateway}")?,
            (None, Some(interface)) => write!(f, "on {interface}")?,
            (None, None) => f.write_str("to nowhere")?,
        }
        if self.usable { Ok(()) } else { f.write_str(" (unusable)") }
    }
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// `RT_TABLE_MAIN` (linux/rtnetlink.h), which nobody needs to be told.
        const MAIN: u32 = 254;
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        write!(f, "{family} default route (metric {}", self.metric)?;
        if self.table != MAIN {
            write!(f, ", table {}", self.table)?;
        }
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, "): {before} -> {now}"),
            (None, Some(now)) => write!(f, ") appeared: {now}"),
            (Some(before), None) => {
                write!(f, ") GONE: was {before}")?;
                before.protocol.as_ref().map_or(Ok(()), |made| write!(f, ", proto {made}"))
            }
            (None, None) => f.write_str(")"),
        }
    }
}
