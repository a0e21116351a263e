//! How long somebody waits after wrong passwords.
//!
//! Three counts: of the login, of the address (an IPv6 network is one address), and of everybody. Each grows the pause
//! by doubling. **Nothing locks for good**: the pause of a login is capped low, because whoever knows a login can cause
//! it; the pause of an address is capped high, because only that address suffers.

use std::net::IpAddr;

use crate::store::throttle::Failures;

/// Failures older than this are forgotten.
pub const MEMORY_MS: i64 = 15 * 60 * 1000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// One login, wherever from.
    Login,
    /// One address, whatever login.
    Address,
    /// Everybody.
    All,
}

impl Counted {
    /// Failures without a pause, and the longest pause in seconds.
    const fn limits(self) -> (i64, i64) {
        match self {
            Self::Login => (5, 30),
            Self::Address => (10, 900),
            // Far above what people mistype; a distributed search for passwords is slowed to one try a second.
            Self::All => (500, 1),
        }
    }

    /// Seconds from the newest failure until the next try, after so many failures.
    #[must_use]
    pub fn pause_s(self, failures: i64) -> i64 {
        let (free, most) = self.limits();
        if failures < free {
            return 0;
        }
        let doublings = u32::try_from(failures - free).unwrap_or(u32::MAX).min(20);
        (1_i64 << doublings).min(most)
    }

    /// Seconds still to wait at a moment; 0 if the try may go on.
    #[must_use]
    pub fn wait_s(self, failures: Failures, now_ms: i64) -> i64 {
        let count = current(failures, now_ms);
        if count == 0 {
            return 0;
        }
        let until = failures.last_ms + self.pause_s(count) * 1000;
        if until > now_ms { (until - now_ms + 999) / 1000 } else { 0 }
    }
}

/// How many of the failures still count. None of the future do: the clock was set back since.
#[must_use]
pub fn current(failures: Failures, now_ms: i64) -> i64 {
    if (now_ms - failures.last_ms).abs() > MEMORY_MS { 0 } else { failures.count }
}

/// The part of an address that one attacker usually has: all of IPv4, the first 64 bits of IPv6.
#[must_use]
pub fn address_prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Failures, MEMORY_MS, address_prefix};

    #[test]
    fn pauses_double_and_are_capped() {
        let pauses: Vec<i64> = [4, 5, 6, 7, 8, 9, 10, 1_000_000].into_iter().map(|n| Counted::Login.pause_s(n)).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(Counted::Address.pause_s(1000), 900);
        assert_eq!(Counted::All.pause_s(499), 0);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let failures = Failures { count: 9, last_ms: 1_000_000 };
        assert_eq!(Counted::Login.wait_s(failures, 1_000_500), 16);
        assert_eq!(Counted::Login.wait_s(failures, 1_000_000 + MEMORY_MS + 1), 0);
    }

    #[test]
    fn f60_failures_of_a_clock_that_was_set_back_keep_nobody_out() {
        let failures = Failures { count: 9, last_ms: 1_000_000 + 24 * 3600 * 1000 };
        assert_eq!(Counted::Login.wait_s(failures, 1_000_000), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
        assert_eq!(address_prefix("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1:2::/64");
        assert_eq!(address_prefix("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7");
    }
}
