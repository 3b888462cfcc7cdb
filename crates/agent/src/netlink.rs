//! The routing rule and the routes of a pod, by rtnetlink, so that no `ip` program is needed.
//!
//! Replies of the application to an address that the proxy borrowed from a client are marked, and routed to the loopback
//! interface, where the proxy's socket is. Message layouts: `linux/rtnetlink.h`, `linux/fib_rules.h`.

use crate::rules::{CONNECTION_MARK, MARK_MASK, ROUTE_TABLE, RULE_PRIORITY};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::io;
use std::os::fd::OwnedFd;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const REQUEST_AND_ACK: u16 = 0x1 | 0x4;
const CREATE_ONLY: u16 = 0x200 | 0x400;
const NLMSG_ERROR: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const RTA_OIF: u16 = 4;
const RTA_TABLE: u16 = 15;
const TO_TABLE: u8 = 1;
const PROTO_BOOT: u8 = 3;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;
/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;
const HEADER: usize = 16;

/// Adds the rule and the route to the thread's network namespace, for IPv4 and, if asked, IPv6. What is there already stays.
///
/// # Errors
/// If the kernel refuses.
pub fn install(ipv6: bool) -> io::Result<()> {
    for family in families(ipv6) {
        for (kind, body) in [(RTM_NEWRULE, rule(family)), (RTM_NEWROUTE, route(family))] {
            match ask(kind, REQUEST_AND_ACK | CREATE_ONLY, &body) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Removes them. What is gone already is no error.
///
/// # Errors
/// If the kernel refuses.
pub fn remove(ipv6: bool) -> io::Result<()> {
    for family in families(ipv6) {
        for (kind, body) in [(RTM_DELRULE, rule(family)), (RTM_DELROUTE, route(family))] {
            match ask(kind, REQUEST_AND_ACK, &body) {
                Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn families(ipv6: bool) -> impl Iterator<Item = AddressFamily> {
    [AddressFamily::INET, AddressFamily::INET6]
        .into_iter()
        .take(if ipv6 { 2 } else { 1 })
}

/// `fib_rule_hdr` and its attributes.
fn rule(family: AddressFamily) -> Vec<u8> {
    let mut body = vec![family_byte(family), 0, 0, 0, 0, 0, 0, TO_TABLE, 0, 0, 0, 0];
    attribute(&mut body, FRA_PRIORITY, RULE_PRIORITY);
    attribute(&mut body, FRA_FWMARK, CONNECTION_MARK);
    attribute(&mut body, FRA_FWMASK, MARK_MASK);
    attribute(&mut body, FRA_TABLE, ROUTE_TABLE);
    body
}

/// `rtmsg` of a route for all addresses, and its attributes.
fn route(family: AddressFamily) -> Vec<u8> {
    let mut body = vec![
        family_byte(family),
        0,
        0,
        0,
        0,
        PROTO_BOOT,
        SCOPE_HOST,
        TYPE_LOCAL,
        0,
        0,
        0,
        0,
    ];
    attribute(&mut body, RTA_TABLE, ROUTE_TABLE);
    attribute(&mut body, RTA_OIF, LOOPBACK);
    body
}

fn family_byte(family: AddressFamily) -> u8 {
    if family == AddressFamily::INET6 { 10 } else { 2 }
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: u32) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value.to_ne_bytes());
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

/// Sends one request to the kernel and reads its answer.
fn ask(kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket: OwnedFd = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    send(&socket, &message(kind, flags, body), SendFlags::empty())?;
    let mut answer = [0_u8; 1024];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    outcome(answer.get(..length).unwrap_or_default())
}

/// The result in an `nlmsgerr` answer: a negative error number, 0 for success.
fn outcome(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer
        .get(4..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_ne_bytes);
    let code = answer
        .get(HEADER..HEADER + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        _ => Err(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_kernel() {
        let error = |code: i32| {
            let mut answer = message(NLMSG_ERROR, 0, &code.to_ne_bytes());
            answer.extend([0; 16]);
            answer
        };
        assert_eq!(outcome(&error(0)), Ok(()));
        assert_eq!(outcome(&error(-17)), Err(Errno::EXIST));
        for answer in [&b""[..], &error(0)[..18], &message(3, 0, &[0; 4])] {
            assert_eq!(outcome(answer), Err(Errno::PROTO));
        }
    }
}
